/** What the kernel shows of its interfaces in /sys/class/net. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { after, describe, it } from 'node:test'
import { hostInterfaces, onlyLink } from '../../../src/net/host-interfaces.js'

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-interfaces-'))
after(() => fs.rmSync(directory, { recursive: true }))

/** Flags as of `ip link`: MASTER is 0x400, NOARP 0x80. */
function add(name: string, flags: string, { master, part }: { master?: string; part?: string } = {}): void {
  fs.mkdirSync(path.join(directory, name, part ?? ''), { recursive: true })
  fs.writeFileSync(path.join(directory, name, 'flags'), `${flags}\n`)
  if (master !== undefined) fs.symlinkSync(`../${master}`, path.join(directory, name, 'master'))
}

describe('interfaces of the machine', () => {
  it('are VRFs with and without a link, and not bridges, bonds and tunnels', () => {
    add('blue', '0x4c1')
    add('empty', '0x4c1')
    add('eth1', '0x1003', { master: 'blue' })
    add('br0', '0x1003', { part: 'bridge' })
    add('eth2', '0x1003', { master: 'br0' })
    add('bond0', '0x1483', { part: 'bonding' })
    add('eth3', '0x1803', { master: 'bond0' })
    add('tun0', '0x10d1')
    const found = hostInterfaces(directory) ?? []
    assert.deepEqual(
      found
        .filter(({ isVrf }) => isVrf)
        .map(({ name }) => name)
        .sort(),
      ['blue', 'empty'],
    )
    assert.equal(found.find(({ name }) => name === 'eth1')?.master, 'blue')
  })

  it('mean one link, or not', () => {
    const vrfs = () => new Set(['blue'])
    assert.equal(onlyLink(['eth0'], vrfs), 'eth0')
    for (const names of [[], ['ppp*'], ['eth0', 'eth1'], ['blue'], ['blue', 'eth1']])
      assert.equal(onlyLink(names, vrfs), undefined)
  })
})
