/** Right knocks, each from its own source: how many a second, what each costs, and what happens when there are more. */
import path from 'node:path'
import type { Background } from '../support/commands.js'
import { dist, sleep } from '../support/commands.js'
import { knockPort } from '../support/knocks.js'
import { server4 } from '../support/lab.js'
import { forgedBase, ownSource } from './addresses.js'
import type { TryResult } from './client.js'
import type { Row } from './report.js'
import { grouped, median, megabytes, percent, progress, spread } from './report.js'
import { configOf, servicePort, since, Site, Usage } from './site.js'

const limits = '{ replay-entries: 16000000, per-network: 10000000 }'
/** What pkctl aims at. */
const aim = 100_000
const rounds = 3
const roundSeconds = 3
/** Of the aim: what comes when more comes than can be held. */
const factors = [2, 5] as const
const topFactor = 5
/** More frames than this a second cannot be sent from one processor, and need not be made. */
const sendable = 300_000
/** Up to this share may be lost in the highest rate that counts as held. */
const tolerated = 0.001

interface Measured {
  readonly offered: number
  readonly accepted: number
  readonly seconds: number
  /** Processor time of the daemon for each knock that it saw, in microseconds. */
  readonly microseconds: number
}

const rateOf = ({ accepted, seconds }: Measured) => accepted / seconds
const offeredRate = ({ offered, seconds }: Measured) => offered / seconds
const lostOf = ({ offered, accepted }: Measured) => 1 - accepted / offered

/** Sources are never used twice, whatever runs beside and after one another. */
let nextSource = forgedBase

/** One storm of right knocks against a running daemon. */
async function storm(site: Site, daemon: Background, rate: number, seconds: number): Promise<Measured> {
  const usage = Usage.of(daemon)
  const count = Math.min(rate, sendable) * seconds
  const source = nextSource
  nextSource += count
  const ended = await site.storm({ kind: 'knocks', source, sources: 'many', count, rate, seconds })
  const [before, received, cpu] = [await site.ruleCounts(), usage.received, usage.cpuSeconds]
  const result = await ended()
  for (let i = 0; i < 100 && usage.waiting > 0; i++) await sleep(20)
  const cpuUsed = usage.cpuSeconds - cpu
  const offered = usage.received - received
  const { accepted, unanswered, queued } = since(before, await site.ruleCounts())
  return { offered, accepted, seconds: result.seconds, microseconds: (cpuUsed / (queued - unanswered)) * 1e6 }
}

const queueNumber = 62
const queueLength = 16_384

/** The same packets, the same queue, and nobody who looks at them. */
async function bareQueue(): Promise<{ site: Site; reader: Background }> {
  const site = await Site.create()
  const match = ['-p', 'udp', '--dport', String(knockPort)]
  const queue = ['-j', 'NFQUEUE', '--queue-num', String(queueNumber)]
  await site.onServer('iptables-nft', '-t', 'mangle', '-A', 'INPUT', ...match, ...queue)
  // What does not fit in the queue goes on to here.
  await site.onServer('iptables-nft', '-A', 'INPUT', ...match, '-m', 'mark', '--mark', '0', '-j', 'DROP')
  // What was answered has a mark.
  await site.onServer('iptables-nft', '-A', 'INPUT', ...match, '-j', 'DROP')
  const program = path.join(dist, 'test/bench/barequeue.js')
  const argv = [process.execPath, program, String(queueNumber), String(queueLength)]
  const reader = site.lab.start('server', argv)
  await reader.says(/listening/)
  return { site, reader }
}

async function bareStorm(site: Site, reader: Background, rate: number, seconds: number): Promise<Measured> {
  const usage = Usage.of(reader)
  const count = Math.min(rate, sendable) * seconds
  const ended = await site.storm({ kind: 'shaped', source: forgedBase, sources: 'many', count, rate, seconds })
  const [received, cpu, dropped] = [usage.received, usage.cpuSeconds, await overflow(site)]
  const result = await ended()
  for (let i = 0; i < 100 && usage.waiting > 0; i++) await sleep(20)
  const offered = usage.received - received
  const accepted = offered - ((await overflow(site)) - dropped)
  return { offered, accepted, seconds: result.seconds, microseconds: ((usage.cpuSeconds - cpu) / accepted) * 1e6 }
}

async function overflow(site: Site): Promise<number> {
  const listed = await site.onServer('iptables-nft', '-nvxL', 'INPUT')
  return Number(/^\s*(\d+)\s.*DROP/m.exec(listed)?.[1] ?? 0)
}

export async function throughputPart(): Promise<Row[]> {
  const site = await Site.create()
  const synced = await Site.create()
  const { site: bareSite, reader } = await bareQueue()
  try {
    await site.lab.serve(servicePort)
    const daemon = await site.daemon(configOf({ limits }))
    const syncedDaemon = await synced.daemon(configOf({ limits, skew: 600 }))
    const inRounds = { aimed: [] as Measured[], synced: [] as Measured[], bare: [] as Measured[] }
    const overloads = factors.map(factor => ({ factor, storms: [] as Measured[], after: [] as TryResult[] }))
    let inSet = NaN
    for (let round = 0; round < rounds; round++) {
      progress(`throughput, round ${round + 1} of ${rounds}`)
      inRounds.aimed.push(await storm(site, daemon, aim, roundSeconds))
      if (round === 0) inSet = await site.grants()
      await site.flushGrants()
      inRounds.synced.push(await storm(synced, syncedDaemon, aim, roundSeconds))
      await synced.flushGrants()
      inRounds.bare.push(await bareStorm(bareSite, reader, topFactor * aim, roundSeconds))
      for (const { factor, storms, after } of overloads) {
        storms.push(await storm(site, daemon, factor * aim, roundSeconds))
        after.push(await knockAfter(site, round * 10 + factor))
        await site.flushGrants()
      }
    }
    return [
      rateRow('right knocks', inRounds.aimed, inSet),
      rateRow('right knocks, skew 600: each batch waits for the disk', inRounds.synced),
      await highestRow(site, daemon),
      ...overloads.map(({ factor, storms, after }) => overloadRow(factor, storms, after, inRounds.bare)),
      await afterwardsRow(site, daemon),
    ]
  } finally {
    await site.lab.remove()
    await synced.lab.remove()
    await bareSite.lab.remove()
  }
}

async function knockAfter(site: Site, index: number): Promise<TryResult> {
  const one = { host: server4, source: ownSource(4, index), port: servicePort, knock: true }
  const [result] = await site.tries({ tries: [one], delay: 0, every: 0, patience: 3000 })
  if (!result) throw new Error('the client did not knock')
  return result
}

function rateRow(what: string, storms: Measured[], inSet?: number): Row {
  const costs = storms.map(({ microseconds }) => microseconds)
  const elements =
    inSet === undefined ? '' : `; elements in the set ${grouped(inSet)} of ${grouped(storms[0]?.accepted ?? 0)}`
  return {
    what,
    figure: `${grouped(median(storms.map(rateOf)))}/s accepted of ${grouped(aim)}/s, ${percent(median(storms.map(lostOf)))} lost`,
    how: `each from its own source, for ${roundSeconds} s, ${storms.length} rounds; ${median(costs).toFixed(1)} µs of the daemon's processor time each, spread ${percent(spread(costs))}${elements}`,
    values: { storms, inSet },
  }
}

/**
 * Climbs until knocks are lost twice at one rate, for once may be somebody else's doing on a machine that is not ours
 * alone, or until the sender cannot follow.
 */
async function highestRow(site: Site, daemon: Background): Promise<Row> {
  const steps: Measured[] = []
  let end = 'knocks were lost twice at the next'
  climb: for (let rate = aim * 0.8; rate <= 2.4 * aim; rate += 20_000) {
    for (const again of [false, true]) {
      progress(`throughput, ${grouped(rate)}/s${again ? ' again' : ''}`)
      const step = await storm(site, daemon, rate, 2)
      await site.flushGrants()
      steps.push(step)
      const reached = offeredRate(step) > 0.98 * rate
      if (reached && lostOf(step) <= tolerated) break
      if (!again) continue
      if (!reached) end = 'more could not be sent'
      break climb
    }
  }
  const held = Math.max(0, ...steps.filter(step => lostOf(step) <= tolerated).map(offeredRate))
  return {
    what: 'right knocks: highest rate without loss',
    figure: `${grouped(held)}/s`,
    how: `2 s each, in steps of 20,000/s; at most ${percent(tolerated)} lost; ${end}`,
    values: { held, steps },
  }
}

function overloadRow(factor: number, storms: Measured[], after: TryResult[], bare: Measured[]): Row {
  const offered = median(storms.map(offeredRate))
  const bareRate = median(bare.map(rateOf))
  const ratio = median(storms.map((one, i) => rateOf(one) / rateOf(bare[i] ?? one)))
  const atOnce = after.filter(({ open, repeated }) => open && repeated === 0).length
  return {
    what: `right knocks: ${factor} times 100,000/s, or what can be sent`,
    figure: `${grouped(median(storms.map(rateOf)))}/s accepted of ${grouped(offered)}/s; a knock right after it opened ${after.filter(({ open }) => open).length} of ${after.length} times, ${atOnce} without a repeated SYN`,
    how: `${roundSeconds} s, ${storms.length} rounds; the bare queue in the same rounds ${grouped(bareRate)}/s (ratio ${ratio.toFixed(2)}); ${median(storms.map(one => one.microseconds)).toFixed(1)} µs of processor time each, the bare queue ${median(bare.map(one => one.microseconds)).toFixed(1)} µs`,
    values: { storms, after, bare, ratio },
  }
}

async function afterwardsRow(site: Site, daemon: Background): Promise<Row> {
  const usage = Usage.of(daemon)
  const { queue, knocks } = JSON.parse(await site.lab.mustPkctl('status', '--json')) as {
    queue: { unanswered: number }
    knocks: { accepted: number; refused: Record<string, number> }
  }
  const [bytes, peak] = [usage.residentBytes, usage.peakBytes]
  return {
    what: 'right knocks: the daemon after all that',
    figure: `${megabytes(bytes)} resident, ${megabytes(peak)} at most; ${grouped(queue.unanswered)} knocks unanswered`,
    how: `by its own account ${grouped(knocks.accepted)} knocks accepted, all of which it remembers; refused: ${JSON.stringify(knocks.refused)}`,
    values: { queue, knocks, bytes, peak },
  }
}
