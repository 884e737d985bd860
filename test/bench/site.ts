/** The lab, set up for benchmarks, and the figures that can be read off it. */
import * as fs from 'node:fs'
import path from 'node:path'
import type { Background } from '../support/commands.js'
import { dist, must } from '../support/commands.js'
import { Lab, server4 } from '../support/lab.js'
import { addSources } from './addresses.js'
import type { Plan, TryResult } from './client.js'
import type { Link } from './frames.js'
import type { Storm, StormResult } from './sender.js'

export const servicePort = 22
/** A port that nobody guards. */
export const plainPort = 80

/** The one credential of the benchmarks; skew and limits as the part needs them. */
export function configOf({ skew = 60, window = 60, limits = '{}' } = {}): string {
  return [
    `limits: ${limits}`,
    `services: { ssh: { port: ${servicePort}, window: ${window} } }`,
    `credentials: { bench: { type: pkd, tag: SSHK, key: test, opens: [ssh], skew: ${skew}, rate: none } }`,
  ].join('\n')
}

/** Where the packets went, by the counters of pkctl's rules. */
export interface RuleCounts {
  readonly limited: number
  readonly queued: number
  readonly accepted: number
  readonly refused: number
  /** Found the queue full, and were dropped. */
  readonly unanswered: number
  /** Connections that waited behind a knock. */
  readonly waited: number
}

interface ListedRule {
  readonly chain: string
  readonly comment?: string
  readonly expr: readonly Record<string, unknown>[]
}

export class Site {
  private constructor(
    readonly lab: Lab,
    readonly link: Link,
  ) {}

  static async create(): Promise<Site> {
    const lab = await Lab.create()
    await addSources(lab)
    const mac = (namespace: string, device: string) =>
      must(['ip', 'netns', 'exec', namespace, 'cat', `/sys/class/net/${device}/address`])
    const [from, to] = [await mac(lab.client, 'c0'), await mac(lab.server, 's0')]
    return new Site(lab, { from: from.trim(), to: to.trim() })
  }

  /** Runs a program on the server, which must succeed, and gives its output. */
  onServer(...argv: string[]): Promise<string> {
    return must(['ip', 'netns', 'exec', this.lab.server, ...argv])
  }

  /** Starts the daemon with its log as in production. */
  daemon(config: string): Promise<Background> {
    return this.lab.daemon(this.lab.config(config, 'log: { level: info, format: json }'))
  }

  /** Starts a storm from the client; `result` waits for its end. The storm itself begins a moment after this. */
  async storm(storm: Omit<Storm, 'device' | 'link' | 'destination'>): Promise<() => Promise<StormResult>> {
    const job: Storm = { device: 'c0', link: this.link, destination: server4, ...storm }
    // On one processor, with all that the kernel does on its behalf: the rest is left to the daemon.
    const program = ['taskset', '-c', '0', process.execPath, path.join(dist, 'test/bench/sender.js')]
    const background = this.lab.start('client', [...program, JSON.stringify(job)])
    await background.says(/ready/, 60_000)
    return async () => {
      const status = await background.exited
      if (status !== 0) throw new Error(`the storm failed: ${background.output}`)
      return JSON.parse(background.output.slice('ready\n'.length)) as StormResult
    }
  }

  /** Knocks and connects from the client. */
  async tries(plan: Plan): Promise<TryResult[]> {
    const program = path.join(dist, 'test/bench/client.js')
    const { status, stdout, stderr } = await this.lab.from([process.execPath, program, JSON.stringify(plan)])
    if (status !== 0) throw new Error(`the client failed: ${stderr}`)
    return JSON.parse(stdout) as TryResult[]
  }

  /** Quick however many grants there are: nft 1.0.6 leaves sets unread only with this very command. */
  async ruleCounts(): Promise<RuleCounts> {
    const text = await this.onServer('nft', '-t', '-j', 'list', 'ruleset', 'inet')
    const { nftables } = JSON.parse(text) as { nftables: { rule?: ListedRule }[] }
    const counts = { limited: 0, queued: 0, accepted: 0, refused: 0, unanswered: 0, waited: 0 }
    for (const { rule } of nftables) {
      const counter = rule?.expr.find(expr => 'counter' in expr)?.['counter'] as { packets: number } | undefined
      const kind = rule && kindOf(rule)
      if (counter && kind) counts[kind] += counter.packets
    }
    return counts
  }

  /** Elements in the set of grants by knock. */
  async grants(): Promise<number> {
    return (await this.onServer('nft', 'list', 'set', 'inet', 'pkctl', 'pk-ssh-4')).match(/expires/g)?.length ?? 0
  }

  async flushGrants(): Promise<void> {
    await this.onServer('nft', 'flush', 'set', 'inet', 'pkctl', 'pk-ssh-4')
  }
}

function kindOf({ chain, comment, expr }: ListedRule): keyof RuleCounts | undefined {
  if (comment === 'unanswered' || comment === 'refused') return comment
  if (/^grant-\d+$/.test(chain)) return 'accepted'
  if (chain === 'pending') return 'waited'
  if (chain !== 'admitted' && chain !== 'excess') return undefined
  return expr.some(one => 'drop' in one) ? 'limited' : 'queued'
}

/** The difference of two counts. */
export function since(before: RuleCounts, after: RuleCounts): RuleCounts {
  const entries = Object.entries(after) as [keyof RuleCounts, number][]
  return Object.fromEntries(entries.map(([key, value]) => [key, value - before[key]])) as unknown as RuleCounts
}

/** What a process has used; a started program is its own process, for `ip netns exec` becomes it. */
export class Usage {
  constructor(readonly pid: number) {}

  static of(background: Background): Usage {
    return new Usage(background.child.pid ?? 0)
  }

  readonly #tasks = () => fs.readdirSync(`/proc/${this.pid}/task`)
  readonly #read = (file: string) => fs.readFileSync(`/proc/${this.pid}/${file}`, 'utf8')

  #kilobytes(field: string): number {
    return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(this.#read('status'))?.[1]) * 1024
  }

  /** Processor seconds of all its threads, to the nanosecond. */
  get cpuSeconds(): number {
    const ran = this.#tasks().map(task => Number(this.#read(`task/${task}/schedstat`).split(' ')[0]))
    return ran.reduce((sum, one) => sum + one, 0) / 1e9
  }

  /** How often its threads went to sleep of themselves, and so were woken up. */
  get sleeps(): number {
    const counts = this.#tasks().map(task =>
      Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(this.#read(`task/${task}/status`))?.[1]),
    )
    return counts.reduce((sum, one) => sum + one, 0)
  }

  get residentBytes(): number {
    return this.#kilobytes('VmRSS')
  }

  get peakBytes(): number {
    return this.#kilobytes('VmHWM')
  }

  /** Packets that have come to the server, from its namespace. */
  get received(): number {
    return Number(/^\s*s0:\s*\d+\s+(\d+)/m.exec(this.#read('net/dev'))?.[1])
  }

  /** Packets in the queue that wait for their answer. */
  get waiting(): number {
    const [, , waiting] = this.#read('net/netfilter/nfnetlink_queue').trim().split(/\s+/)
    return Number(waiting ?? 0)
  }
}
