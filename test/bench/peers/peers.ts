/**
 * pkctl beside what else opens ports by knocks, all in one run and in turn: what a user waits for, how many knocks are
 * taken, what becomes of them in a flood, what those who have access pay, and memory.
 */
import { sleep } from '../../support/commands.js'
import { server4 } from '../../support/lab.js'
import { forgedBase, ownSource } from '../addresses.js'
import type { TryResult } from '../client.js'
import { barest as barestRules, compare, iptablesRules, withDaemon } from '../connections.js'
import type { Row } from '../report.js'
import { grouped, latency, median, megabytes, percent, progress } from '../report.js'
import { servicePort, Site, Usage } from '../site.js'
import { barest, floor } from './in-kernel.js'
import type { Peer, RunningPeer } from './peer.js'
import { pkctl } from './pkctl.js'
import { fwknopd, knockd, missingPrograms } from './programs.js'

const rounds = 3
/** What counts as cold: the first knocks after a start. */
const cold = 12
const warm = 30
const pauseMilliseconds = 20
const patience = 3000
const floodSeconds = 4
const floodKnocks = 3
const stormSeconds = 2
/** More than any of them takes in that time. */
const stormRate = 300_000
const burst = 200
const manyGrants = 100_000

/** What was measured of one peer, all rounds together. Times in milliseconds. */
interface Measured {
  readonly cold: number[]
  readonly warm: number[]
  /** From the knock to a connection that was tried at once, and once. */
  readonly connect: TryResult[]
  readonly knocksPerSecond: number[]
  readonly flooded: TryResult[]
  readonly floodRates: number[]
  readonly bytes: number[]
}

export async function peersPart(): Promise<Row[]> {
  const missing = await missingPrograms()
  if (missing !== undefined) throw new Error(`${missing} is not installed`)
  const peers = [pkctl, floor, barest, knockd, fwknopd]
  const all = new Map<Peer, Measured>(
    peers.map(peer => [
      peer,
      { cold: [], warm: [], connect: [], knocksPerSecond: [], flooded: [], floodRates: [], bytes: [] },
    ]),
  )
  for (let round = 0; round < rounds; round++) {
    for (const [peer, measured] of all) {
      progress(`peers, round ${round + 1} of ${rounds}: ${peer.name}`)
      await measure(peer, measured)
    }
  }
  const connections = await compare(
    [
      { name: 'barest set, 1 grant', prepare: lab => barestRules(lab) },
      { name: `barest set, ${grouped(manyGrants)} grants`, prepare: lab => barestRules(lab, manyGrants) },
      { name: 'pkctl, 1 grant', prepare: withDaemon(1) },
      { name: `pkctl, ${grouped(manyGrants)} grants`, prepare: withDaemon(manyGrants) },
      { name: 'iptables, as knockd and fwknopd use it, 1 grant', prepare: iptablesRules(1) },
      { name: `iptables, ${grouped(manyGrants)} grants`, prepare: iptablesRules(manyGrants) },
    ],
    'barest set, 1 grant',
  )
  return [...[...all].flatMap(([peer, measured]) => rowsOf(peer, measured, all.get(floor) as Measured)), ...connections]
}

async function measure(peer: Peer, into: Measured): Promise<void> {
  const site = await Site.create()
  try {
    await site.lab.serve(servicePort)
    const running = await peer.start(site)
    let next = 0
    const sources = (count: number) => Array.from({ length: count }, () => ownSource(4, next++))
    const tries = async (count: number, untilOpen: boolean, every = pauseMilliseconds) => {
      const from = sources(count)
      const knocks = await running.knocks(from)
      const tries = from.map((source, i) => ({
        host: server4,
        source,
        port: servicePort,
        knock: knocks[i] ?? [],
        untilOpen,
      }))
      return site.tries({ tries, delay: 500, every, patience })
    }
    const first = (await tries(cold + warm, true)).map(({ open, milliseconds }) => (open ? milliseconds : NaN))
    into.cold.push(...first.slice(0, cold))
    into.warm.push(...first.slice(cold))
    into.connect.push(...(await tries(warm, false)))
    into.knocksPerSecond.push(await knocksPerSecond(site, running, sources(burst)))
    const { flood } = running
    const storm = {
      ...flood,
      source: forgedBase,
      sources: 'many' as const,
      count: 250_000,
      rate: 0,
      seconds: floodSeconds,
    }
    const ended = await site.storm(storm)
    into.flooded.push(...(await tries(floodKnocks, true, 900)))
    const { sent, seconds } = await ended()
    into.floodRates.push(sent / seconds)
    if (running.pid !== undefined) into.bytes.push(new Usage(running.pid).residentBytes)
  } finally {
    await site.lab.remove()
  }
}

/** Valid knocks that opened, by the time from the first until the last of them did. */
async function knocksPerSecond(site: Site, running: RunningPeer, sources: readonly string[]): Promise<number> {
  const before = await running.opened()
  if (running.takesStorms) {
    const count = stormRate * stormSeconds
    const storm = { kind: 'knocks' as const, source: forgedBase, sources: 'many' as const, count, rate: stormRate }
    const { seconds } = await (await site.storm({ ...storm, seconds: stormSeconds }))()
    await sleep(500)
    return ((await running.opened()) - before) / seconds
  }
  const knocks = await running.knocks(sources)
  const tries = sources.map((source, i) => ({ host: server4, source, port: servicePort, knock: knocks[i] ?? [] }))
  const start = performance.now()
  const ended = site.tries({ tries, delay: 0, every: 0, patience: 1 })
  let [opened, changed] = [0, start]
  for (let i = 0; i < 200 && opened < burst && performance.now() - changed < 3000; i++) {
    const now = (await running.opened()) - before
    if (now > opened) [opened, changed] = [now, performance.now()]
    await sleep(50)
  }
  await ended
  return opened / ((changed - start) / 1000)
}

function rowsOf({ name, about }: Peer, measured: Measured, ofFloor: Measured): Row[] {
  const { connect, flooded, knocksPerSecond: rates, floodRates, bytes } = measured
  const opened = (times: readonly number[]) => times.filter(time => !Number.isNaN(time))
  const times = (what: 'cold' | 'warm') => {
    const all = opened(measured[what])
    const ratio = median(all) / median(opened(ofFloor[what]))
    return {
      what: `${name}: knock to open, ${what === 'cold' ? `the first ${cold} after a start` : 'later'}`,
      figure: `${latency(all)} (${ratio.toFixed(2)} of the C floor)`,
      how: `${about}; ${all.length} of ${measured[what].length} opened, each from its own source; ${rounds} starts`,
      values: { milliseconds: all, ratio },
      bar: {
        panel: `From the knock to the open port, ${what === 'cold' ? `the first ${cold} after a start` : 'later'} (median, ms)`,
        name,
        value: median(all),
        label: `${median(all).toFixed(2)} ms`,
      },
    }
  }
  const atOnce = connect.filter(({ open, repeated }) => open && repeated === 0)
  return [
    times('cold'),
    times('warm'),
    {
      what: `${name}: knock, then connect with no pause`,
      figure: `${atOnce.length} of ${connect.length} connected at the first try`,
      how:
        atOnce.length > 0
          ? latency(atOnce.map(({ milliseconds }) => milliseconds))
          : 'refused before the port was open',
      values: { atOnce: atOnce.length, tries: connect.length },
    },
    {
      what: `${name}: valid knocks a second`,
      figure: `${grouped(median(rates))}/s opened`,
      how: rates.map(rate => grouped(rate)).join(', '),
      values: { rates },
      bar: { panel: 'Valid knocks a second', name, value: median(rates), label: grouped(median(rates)) },
    },
    {
      what: `${name}: valid knocks during a flood`,
      figure: `${flooded.filter(({ open }) => open).length} of ${flooded.length} opened`,
      how: `${grouped(median(floodRates))} packets/s to the port of its knocks, within ${patience / 1000} s; ${percent(flooded.filter(({ open, milliseconds }) => open && milliseconds < 100).length / flooded.length, 0)} within 0.1 s`,
      values: { flooded, floodRates },
    },
    ...(bytes.length === 0
      ? []
      : [
          {
            what: `${name}: memory after that`,
            figure: megabytes(median(bytes)),
            how: 'resident',
            values: { bytes },
          },
        ]),
  ]
}
