/**
 * The flags of pkctl's table. A table with `persist` (Linux 6.9, nft 1.1) outlives the process that owns it, and only such a
 * table can get an owner again. The kernel refuses `add table` with other flags than the table has.
 */
import { NftError } from './nft-errors.js'
import type { Command, Json } from './nft-json.js'
import type { Listing } from './listing.js'
import { asObject } from './listing.js'
import type { Nft } from './nft.js'

type TableFlags = readonly ('owner' | 'persist')[]

const persistent: TableFlags = ['persist']
export const owned: TableFlags = ['owner', 'persist']

const tableIn = (command: Command, verb: 'add' | 'delete'): Json | undefined => asObject(command[verb])['table']
const addsTable = (command: Command) => tableIn(command, 'add') !== undefined

/** The transaction with flags where it adds the table: first those that the table has, and when it was deleted `fresh`. */
export function withTableFlags(commands: readonly Command[], present: TableFlags, fresh: TableFlags): Command[] {
  let flags = present
  return commands.map(command => {
    if (tableIn(command, 'delete') !== undefined) flags = fresh
    const table = tableIn(command, 'add')
    return table === undefined || flags.length === 0 ? command : { add: { table: { ...asObject(table), flags } } }
  })
}

/** Whether such a release of nft knows the word `persist`. That the kernel does is another question. */
export function knowsPersist(release: string): boolean {
  const [major = 0, minor = 0] = release.split('.').map(Number)
  return major > 1 || (major === 1 && minor >= 1)
}

/** Makes the table with `persist` where nft and the kernel can, and changes one that has it. */
export function withPersistence(nft: Nft): Nft {
  let last: Listing | undefined
  /** The kernel refused what it takes without the flag. */
  let isRefused = false

  async function run(act: Nft['apply'], commands: readonly Command[]): Promise<void> {
    if (!commands.some(addsTable)) return act(commands)
    const can = last !== undefined && knowsPersist(last.release) && !isRefused
    const fresh = can ? persistent : []
    const present = last?.persist ? persistent : last?.present ? [] : fresh
    const flagged = withTableFlags(commands, present, fresh)
    const isPlain = present.length + fresh.length === 0
    try {
      await act(flagged)
    } catch (error) {
      if (!(error instanceof NftError) || error.kind === 'permission' || error.kind === 'no-answer') throw error
      if (isPlain) await again(error, act, commands)
      else await withoutFlags(error, act, commands)
    }
  }

  /** No listing told that the table has the flag, most likely. */
  async function again(error: NftError, act: Nft['apply'], commands: readonly Command[]): Promise<void> {
    if (error.kind !== 'unsupported' || last !== undefined) throw error
    last = await nft.list({ elements: false })
    if (!last.persist) throw error
    return act(withTableFlags(commands, persistent, persistent))
  }

  /** The table may have come or gone meanwhile, or the kernel has no such flag. */
  async function withoutFlags(error: NftError, act: Nft['apply'], commands: readonly Command[]): Promise<void> {
    if (error.kind !== 'unsupported' || last?.persist) throw error
    await act(commands)
    isRefused = true
  }

  return {
    ...nft,
    apply: commands => run(all => nft.apply(all), commands),
    check: commands => run(all => nft.check(all), commands),
    async list(options) {
      const listing = await nft.list(options)
      last = listing
      return listing
    },
  }
}
