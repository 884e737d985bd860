/**
 * Servers of a fleet that share grants and revocations through an engine: the code that merges them, in a world of partitions, clocks
 * that differ, and an engine that shows messages twice, or restarts empty. What is sought: a grant that runs at the end although
 * a server has revoked it that had it, and servers that do not agree.
 */
import type { FleetMessage } from '../../src/fleet/message.js'
import { SharedGrants } from '../../src/fleet/shared-grants.js'
import { World } from './world.js'

type Word = Exclude<FleetMessage, { kind: 'hello' }>

/** What is wrong on purpose, to see that it is found. */
export type GrantFault =
  /** A grant that comes when it is over is passed over, though it has ended an earlier one. */
  | 'passes-over-ended'
  /** A revocation has the time of its server, whatever that has heard. */
  | 'own-time'

export interface GrantReport {
  readonly seed: number
  readonly revocations: number
  /** Grants that ran at some time after their server had heard of all, although they were revoked before. */
  readonly lost: number
  readonly disagreements: number
}

const service = 'ssh'
const longestWindow = 120_000
const tolerance = 15_000
const lasts = 200_000
const sources = Array.from({ length: 6 }, (_, i) => `192.0.2.${i}`)

/** The stream of the engine. */
class Stream {
  words: Word[] = []
  run = 0

  restart(): void {
    this.words = []
    this.run++
  }
}

class Node {
  readonly name: string
  readonly #world: World
  readonly #stream: Stream
  readonly #fault: GrantFault | undefined
  readonly #grants: SharedGrants
  /** By source, until when the kernel lets it in: true milliseconds. */
  readonly kernel = new Map<string, { readonly until: number; readonly word: Word | undefined }>()
  /** The grants that this server has revoked when it had them. */
  readonly revoked: Word[] = []
  readonly #clockOff: number
  #unsent: Word[] = []
  #position = 0
  #run = 0
  #sequence = 0
  #cutUntil = 0

  constructor(name: string, world: World, stream: Stream, fault?: GrantFault) {
    this.name = name
    this.#world = world
    this.#stream = stream
    this.#fault = fault
    this.#clockOff = world.random.below(2 * tolerance + 1) - tolerance
    const limits = { mostPerNode: 1e6, longestWindow, tolerance: 2 * tolerance }
    this.#grants = new SharedGrants(limits)
  }

  now = () => this.#world.now + this.#clockOff

  cut(milliseconds: number): void {
    this.#cutUntil = this.#world.now + milliseconds
  }

  heal(): void {
    this.#cutUntil = 0
  }

  knock(source: string, by: Word['by'], window: number): void {
    const made = this.#grants.madeNext(service, source, this.now())
    const until = Math.min(this.now() + window, made + longestWindow)
    this.#say({ ...this.#next(made), kind: 'grant', by, source, until })
  }

  revoke(source: string, by: Word['by']): void {
    const made = this.#fault === 'own-time' ? this.now() : this.#grants.madeNext(service, source, this.now())
    const running = [...this.#grants.running(this.now())]
    this.revoked.push(...running.filter(word => word.source === source && (by === 'hand' || word.by === by)))
    this.#say({ ...this.#next(made), kind: 'revoke', by, source, until: made + longestWindow })
  }

  /** Sends what waits, and reads what came. */
  meet(): void {
    if (this.#world.now < this.#cutUntil) return
    const { random } = this.#world
    if (this.#run !== this.#stream.run) {
      this.#run = this.#stream.run
      this.#position = 0
      this.#unsent = [...this.#grants.by(this.name)]
    }
    this.#stream.words.push(...this.#unsent)
    // Whether it was all sent is not known, so it is sent again.
    if (random.below(10) > 0) this.#unsent = []
    // The engine, or who owns it, shows again what it has.
    if (random.below(20) === 0) this.#position = 0
    for (const word of this.#stream.words.slice(this.#position)) this.#take(word)
    this.#position = this.#stream.words.length
    this.#grants.tidy(this.now())
  }

  untilOf = (source: string): number => Math.max(this.kernel.get(source)?.until ?? 0, this.#world.now)

  #next = (made: number) => ({ node: this.name, epoch: 1, sequence: ++this.#sequence, made, service })

  #say(word: Word): void {
    this.#unsent.push(word)
    this.#take(word)
  }

  #take(word: Word): void {
    if (this.#fault === 'passes-over-ended' && word.until <= this.now()) return
    if (this.#grants.take(word, this.now()) !== 'counts') return
    const { source } = word
    const grant = this.#grants.grantOf(service, source, this.now())
    const running = [...this.#grants.running(this.now())]
    const by = running.find(one => one.source === source && one.by === grant?.by)
    if (grant) this.kernel.set(source, { until: grant.until - this.#clockOff, word: by })
    else this.kernel.delete(source)
  }
}

export async function simulateGrants(seed: number, fault?: GrantFault): Promise<GrantReport> {
  const world = new World(seed)
  const { random } = world
  const stream = new Stream()
  const nodes = Array.from({ length: 2 + random.below(4) }, (_, i) => new Node(`node-${i}`, world, stream, fault))
  let revocations = 0
  const anyTime = (count: number, what: () => void) => {
    for (let i = 0; i < count; i++) world.after(random.below(lasts), what)
  }
  const by = () => random.of(['knock', 'knock', 'hand'] as const)
  anyTime(60, () => {
    random.of(nodes).knock(random.of(sources), by(), 1000 + random.below(longestWindow))
  })
  anyTime(30, () => {
    revocations++
    random.of(nodes).revoke(random.of(sources), by())
  })
  anyTime(15, () => {
    random.of(nodes).cut(random.below(60_000))
  })
  if (random.below(2) === 0) {
    world.after(random.below(lasts), () => {
      stream.restart()
    })
  }
  for (let at = 0; at < lasts; at += 500) {
    world.after(at, () => {
      random.of(nodes).meet()
    })
  }
  await world.run()
  // The partition heals: all hear all, and it does not help the engine to show it again.
  for (const node of nodes) node.heal()
  for (let round = 0; round < 3; round++) for (const node of nodes) node.meet()
  const revoked = new Set(nodes.flatMap(node => node.revoked.map(keyOf)))
  const lost = nodes.flatMap(node =>
    [...node.kernel.values()].filter(
      ({ until, word }) => until > world.now && word !== undefined && revoked.has(keyOf(word)),
    ),
  )
  const isAgreed = (source: string) => {
    const untils = nodes.map(node => node.untilOf(source))
    // The end is the same time of two clocks.
    return Math.max(...untils) - Math.min(...untils) <= 2 * tolerance
  }
  return {
    ...{ seed, revocations, lost: lost.length },
    disagreements: sources.filter(source => !isAgreed(source)).length,
  }
}

const keyOf = ({ node, sequence }: Word) => `${node} ${sequence}`
