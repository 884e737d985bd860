import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NftError } from '../../../src/nft/nft-errors.js'
import type { Command } from '../../../src/nft/nft-json.js'
import { addChain, addTable, deleteTable } from '../../../src/nft/nft-json.js'
import type { Listing } from '../../../src/nft/listing.js'
import { emptyListing } from '../../../src/nft/listing.js'
import type { Nft } from '../../../src/nft/nft.js'
import { knowsPersist, withPersistence, withTableFlags } from '../../../src/nft/table-flags.js'

const flagsOf = (commands: readonly Command[]) =>
  commands.map(command => (command as { add?: { table?: { flags?: string[] } } }).add?.table?.flags?.join() ?? '')

describe('flags of the table', () => {
  it('are those that it has, and after it was deleted those of a new one', () => {
    const commands = [addTable(), addChain('a'), deleteTable(), addTable()]
    assert.deepEqual(flagsOf(withTableFlags(commands, [], ['persist'])), ['', '', '', 'persist'])
    assert.deepEqual(flagsOf(withTableFlags(commands, ['persist'], ['persist'])), ['persist', '', '', 'persist'])
    assert.deepEqual(withTableFlags(commands, [], []), commands)
  })

  it('nft knows persist from 1.1 on', () => {
    for (const release of ['1.1.0', '1.1.3', '1.10', '2.0']) assert.equal(knowsPersist(release), true, release)
    for (const release of ['', '0.9.8', '1.0.6', '1.0.9']) assert.equal(knowsPersist(release), false, release)
  })

  /** A kernel and an nft that take what they are told to. */
  class Machine implements Nft {
    readonly tried: string[] = []
    listing: Listing = emptyListing()
    refuses: (flags: string) => boolean = () => false

    apply = (commands: readonly Command[]) => {
      const flags = flagsOf(commands).join('|')
      this.tried.push(flags)
      return this.refuses(flags)
        ? Promise.reject(new NftError('unsupported', 'nft', 'Error: Operation not supported'))
        : Promise.resolve()
    }
    check = this.apply
    list = () => Promise.resolve(this.listing)
    listSet = this.list
    getElement = () => Promise.resolve(undefined)
  }

  it('a new table persists where nft and the kernel can', async () => {
    const machine = new Machine()
    const nft = withPersistence(machine)
    machine.listing = { ...emptyListing(), release: '1.1.3' }
    await nft.list()
    await nft.apply([addTable()])
    machine.refuses = flags => flags !== ''
    await nft.apply([addTable()])
    await nft.apply([addTable()])
    assert.deepEqual(machine.tried, ['persist', 'persist', '', ''], 'a kernel that refuses it is asked once')
  })

  it('an earlier nft gets the same commands as ever', async () => {
    const machine = new Machine()
    const nft = withPersistence(machine)
    await nft.apply([addTable()])
    machine.listing = { ...emptyListing(), release: '1.0.6' }
    await nft.list()
    await nft.apply([addTable(), deleteTable(), addTable()])
    assert.deepEqual(machine.tried, ['', '||'])
    machine.refuses = () => true
    await assert.rejects(nft.apply([addTable()]), /not supported/)
    assert.equal(machine.tried.length, 3, 'what it refuses is not tried again')
  })

  it('a table that persists is changed as one, also where that is not known before', async () => {
    const machine = new Machine()
    const nft = withPersistence(machine)
    machine.listing = { ...emptyListing(), present: true, persist: true, release: '1.1.3' }
    machine.refuses = flags => flags !== 'persist'
    await nft.check([addTable()])
    await nft.apply([addTable()])
    assert.deepEqual(machine.tried, ['', 'persist', 'persist'])
  })

  it('a table without the flag stays without, until it is made again', async () => {
    const machine = new Machine()
    const nft = withPersistence(machine)
    machine.listing = { ...emptyListing(), present: true, release: '1.1.3' }
    await nft.list()
    await nft.apply([addTable()])
    await nft.apply([addTable(), deleteTable(), addTable()])
    assert.deepEqual(machine.tried, ['', '||persist'])
  })
})
