/** Rubbish at full speed, and one good knock a second from somebody else: does it still open the port? */
import { server4 } from '../support/lab.js'
import { forgedBase, ownSource } from './addresses.js'
import type { Try, TryResult } from './client.js'
import type { Row } from './report.js'
import { grouped, latency, percent, progress } from './report.js'
import type { Storm } from './sender.js'
import type { RuleCounts } from './site.js'
import { configOf, servicePort, since, Site, Usage } from './site.js'

const seconds = 10
/** What a person waits. */
const patience = 3000

export interface Flood {
  readonly name: string
  readonly storm: Pick<Storm, 'kind' | 'sources' | 'count' | 'identity' | 'length'> | null
}

const floods: readonly Flood[] = [
  { name: 'no flood', storm: null },
  { name: 'random lengths and tags, forged sources', storm: { kind: 'rubbish', sources: 'many', count: 250_000 } },
  { name: 'right tag and length, one source', storm: { kind: 'shaped', sources: 'one', count: 250_000 } },
  // A million sources: none comes again before every limit has forgotten it.
  { name: 'right tag and length, forged sources', storm: { kind: 'shaped', sources: 'many', count: 1_000_000 } },
]

export async function floodPart(): Promise<Row[]> {
  const site = await Site.create()
  try {
    await site.lab.serve(servicePort)
    const usage = Usage.of(await site.daemon(configOf()))
    const rows: Row[] = []
    for (const [i, flood] of floods.entries()) {
      progress(`flood: ${flood.name}`)
      rows.push(await underFlood(site, usage, flood, i * 100))
    }
    return rows
  } finally {
    await site.lab.remove()
  }
}

/** The datagrams of a good knock; true for one of PKD. */
type MakeKnock = () => Try['knock']

export async function underFlood(
  site: Site,
  usage: Usage,
  { name, storm }: Flood,
  firstSource: number,
  knock: MakeKnock = () => true,
): Promise<Row> {
  const ended = storm ? await site.storm({ ...storm, source: forgedBase, rate: 0, seconds }) : null
  const [before, received, cpu] = [await site.ruleCounts(), usage.received, usage.cpuSeconds]
  const [knocks, result] = await Promise.all([goodKnocks(site, storm ? seconds : 4, firstSource, knock), ended?.()])
  const counts = since(before, await site.ruleCounts())
  const values = {
    tries: knocks.length,
    opened: knocks.filter(({ open }) => open).length,
    atOnce: knocks.filter(({ open, repeated }) => open && repeated === 0).length,
    milliseconds: knocks.map(({ milliseconds }) => milliseconds),
    offered: usage.received - received,
    seconds: result?.seconds ?? 0,
    cpuSeconds: usage.cpuSeconds - cpu,
    ...counts,
  }
  const opened = knocks.filter(({ open }) => open).map(({ milliseconds }) => milliseconds)
  return {
    what: `good knocks under a flood: ${name}`,
    figure: `${values.opened} of ${values.tries} open within ${patience / 1000} s, ${values.atOnce} without a repeated SYN`,
    how: storm
      ? `${grouped(values.offered / values.seconds)} packets/s for ${values.seconds.toFixed(0)} s; ${fates(counts, values.offered)}; the daemon used ${values.cpuSeconds.toFixed(1)} s of processor time; ${opened.length > 0 ? latency(opened) : 'none opened'}`
      : latency(opened),
    values,
  }
}

/**
 * One a second, from three clients in turn, so that none waits for another's patience. Not quite a second apart: the
 * kernel collects expired elements once a second, and knocks in step with it would always meet it in the same state.
 */
async function goodKnocks(site: Site, count: number, firstSource: number, knock: MakeKnock): Promise<TryResult[]> {
  const clients = 3
  const apart = 970
  const plans = Array.from({ length: clients }, (_, client) => ({
    tries: Array.from({ length: Math.ceil((count - client) / clients) }, (_, i) => ({
      host: server4,
      source: ownSource(4, firstSource + client + i * clients),
      port: servicePort,
      knock: knock(),
    })),
    delay: client * apart,
    every: clients * apart,
    patience,
  }))
  return (await Promise.all(plans.map(plan => site.tries(plan)))).flat()
}

/** What the rules did with the flood. */
function fates({ queued, limited, unanswered }: RuleCounts, offered: number): string {
  const answered = queued - unanswered
  return [
    `${percent(Math.max(0, offered - queued - limited) / offered)} not knock-shaped`,
    `${percent(limited / offered)} over the limits`,
    `${percent(unanswered / offered)} found the queue full`,
    `${grouped(answered / seconds)}/s judged`,
  ].join(', ')
}
