/** The least that knocks can cost: a rule that adds the source to a set, and a program that answers and does no more. */
import * as fs from 'node:fs'
import path from 'node:path'
import { must, root } from '../../support/commands.js'
import { knockHex, knockPort } from '../../support/knocks.js'
import type { Site } from '../site.js'
import { servicePort } from '../site.js'
import type { Peer } from './peer.js'

const queueNumber = 62
const candidateMark = 1
const pendingMark = 2
const answeredMark = 3
const isKnock = `udp dport ${knockPort} udp length 64 @th,64,32 0x5353484b`
const isStart = `tcp dport ${servicePort} tcp flags & (syn | ack) == syn`

const gate = `
    ${isStart} ip saddr @granted accept
    ${isStart} reject with tcp reset`
const set = 'set granted { type ipv4_addr; size 1048576; flags dynamic,timeout; timeout 60s; }'

/** Knocks as pkctl takes them; what they are worth is not looked at. */
const pkdKnocks = (sources: readonly string[]) =>
  Promise.resolve(sources.map(() => [{ port: knockPort, hex: knockHex() }]))

const opened = async (site: Site, table: string) =>
  (await site.onServer('nft', 'list', 'set', 'inet', table, 'granted')).match(/expires/g)?.length ?? 0

const flood = { kind: 'shaped', port: knockPort } as const

export const barest: Peer = {
  name: 'barest set',
  about: 'a rule of nftables that adds the source of any datagram with the shape of a knock: no program, no check',
  async start(site) {
    const rules = `table inet barest {
  ${set}
  chain c {
    type filter hook input priority -140;
    ${isKnock} update @granted { ip saddr } drop
    ${gate}
  }
}`
    await site.onServer('nft', '-f', site.lab.file('barest.nft', rules))
    return { pid: undefined, knocks: pkdKnocks, opened: () => opened(site, 'barest'), flood, takesStorms: true }
  },
}

export const floor: Peer = {
  name: 'C floor',
  about: 'a C program on libnetfilter_queue that answers every packet with a mark: no check, no memory, no log',
  async start(site) {
    const rules = `table inet floor {
  ${set}
  set pending { type ipv4_addr; size 1048576; flags dynamic,timeout; timeout 2s; }
  chain first {
    type filter hook input priority -160;
    ${isKnock} update @pending { ip saddr } meta mark set ${candidateMark}
    ${isStart} ip saddr @pending meta mark set ${pendingMark}
  }
  chain second {
    type filter hook input priority -140;
    meta mark ${answeredMark} update @granted { ip saddr } drop
    meta mark ${candidateMark} drop
    ${gate}
  }
}`
    await site.onServer('nft', '-f', site.lab.file('floor.nft', rules))
    const queue = ['-j', 'NFQUEUE', '--queue-num', String(queueNumber), '--queue-bypass']
    for (const mark of [candidateMark, pendingMark]) {
      const match = ['-m', 'mark', '--mark', String(mark)]
      await site.onServer('iptables-nft', '-t', 'mangle', '-A', 'INPUT', ...match, ...queue)
    }
    const program = site.lab.start('server', [
      await compiled(),
      String(queueNumber),
      String(candidateMark),
      String(answeredMark),
    ])
    await program.says(/listening/)
    return { pid: program.child.pid, knocks: pkdKnocks, opened: () => opened(site, 'floor'), flood, takesStorms: true }
  },
}

/** The path of the compiled program. */
async function compiled(): Promise<string> {
  const program = path.join(root, 'build/bench-floor')
  fs.mkdirSync(path.dirname(program), { recursive: true })
  await must(['cc', '-O2', '-o', program, path.join(root, 'test/bench/peers/floor.c'), '-lnetfilter_queue'])
  return program
}
