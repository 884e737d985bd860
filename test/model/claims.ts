/**
 * Servers of a group that claim knocks at an engine: the code of the claim and of replay memory, in a world of partitions, late and
 * lost answers, clocks that differ and are set, crashes at every step, and an engine that restarts empty.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { ReplayCache } from '../../src/controller/replay/replay-cache.js'
import type { ClaimAnswer, ClaimStore } from '../../src/fleet/claim.js'
import { Claims, clockTolerance } from '../../src/fleet/claim.js'
import { World } from './world.js'

/** What is wrong on purpose, to see that it is found. */
export type ClaimFault =
  /** The engine is asked whether there is a claim, and then told of it. */
  | 'check-then-set'
  /** The grant is not kept back for the answer. */
  | 'grant-before-claim'
  /** What the engine may have forgotten counts as not claimed. */
  | 'trusts-empty-engine'
  /** Claims end before the knock does. */
  | 'short-life'
  /** A server that does not hear from the engine grants. */
  | 'opens-without-engine'

export interface ClaimReport {
  readonly seed: number
  readonly knocks: number
  /** How many knocks opened, and how many of them more than once. */
  readonly opened: number
  readonly doubles: number
  readonly refused: Readonly<Record<string, number>>
}

interface Knock {
  readonly number: number
  readonly digest: Buffer
  readonly time: number
}

const skew = 10
/** How long the servers are there before the first knock, in milliseconds. */
const begins = 100_000

/** A Valkey or Redis with a clock of its own, as src/fleet asks it. */
class Engine {
  #claims = new Map<string, number>()
  /** When a server first asked what runs now, by the clock of that server. */
  #since: number | undefined
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  /** A server has connected. */
  meet(nodeNow: number): void {
    this.#since ??= nodeNow
  }

  /** SET NX PX, in one step with the mark of the beginning. */
  claim(key: string, life: number, nodeNow: number): ClaimAnswer {
    this.meet(nodeNow)
    const isFirst = !this.has(key)
    if (isFirst) this.set(key, life)
    return { isFirst, since: this.#since as number }
  }

  has = (key: string): boolean => (this.#claims.get(key) ?? -Infinity) > this.#world.now

  set(key: string, life: number): void {
    this.#claims.set(key, this.#world.now + life)
  }

  restart(): void {
    this.#claims = new Map()
    this.#since = undefined
  }
}

class Node {
  readonly #world: World
  readonly #engine: Engine
  readonly #fault: ClaimFault | undefined
  readonly #opened: (knock: Knock) => void
  readonly #refused: (reason: string) => void
  /** What is on its disk. */
  readonly #journal: { readonly digest: Buffer; readonly time: number }[] = []
  #cache = new ReplayCache({ skew, entries: 1e6 })
  #clockOff: number
  /** Counts its crashes: what runs of an earlier life does nothing. */
  #life = 0
  #isUp = true
  /** Until when nothing passes between it and the engine. */
  #cutUntil = 0

  constructor(
    world: World,
    engine: Engine,
    fault: ClaimFault | undefined,
    on: { readonly opened: (knock: Knock) => void; readonly refused: (reason: string) => void },
  ) {
    this.#world = world
    this.#engine = engine
    this.#fault = fault
    this.#opened = on.opened
    this.#refused = on.refused
    this.#clockOff = this.#anyOff()
  }

  now = () => this.#world.now + this.#clockOff

  setClock(): void {
    this.#clockOff = this.#anyOff()
  }

  cut(milliseconds: number): void {
    this.#cutUntil = this.#world.now + milliseconds
  }

  crash(milliseconds: number): void {
    this.#life++
    this.#isUp = false
    this.#world.after(milliseconds, () => {
      this.#isUp = true
      this.#cache = new ReplayCache({ skew, entries: 1e6 })
      for (const { digest, time } of this.#journal) this.#cache.remember(digest, 0, time)
    })
  }

  async receive(knock: Knock): Promise<void> {
    if (!this.#isUp) return
    const life = this.#life
    const { digest, time } = knock
    const now = Math.floor(this.now() / 1000)
    if (Math.abs(time - now) > skew) return void this.#refused('skewed')
    const answer = this.#cache.check(digest, 0, time, now)
    if (answer !== 'new') return void this.#refused(answer)
    this.#cache.remember(digest, 0, time)
    if (this.#crashesNow()) return
    this.#journal.push({ digest, time })
    if (this.#crashesNow()) return
    if (this.#fault === 'grant-before-claim') this.#opened(knock)
    const result = await this.#claims().claim({ digest, time, skew: this.#fault === 'short-life' ? skew - 8 : skew })
    if (life !== this.#life || this.#crashesNow() || this.#fault === 'grant-before-claim') return
    const isTrusted = this.#fault === 'opens-without-engine' && result === 'fleet-away'
    if (result === 'first' || isTrusted) this.#opened(knock)
    else this.#refused(result)
  }

  #claims(): Claims {
    return new Claims({
      store: this.#store(),
      key: Buffer.alloc(32, 7),
      now: this.now,
      after: (milliseconds, call) => this.#world.after(milliseconds, call),
    })
  }

  #store(): ClaimStore {
    const engine = this.#engine
    return {
      claim: async (key, life) => {
        const nodeNow = this.now()
        if (this.#fault === 'check-then-set') {
          const isThere = await this.#ask(() => engine.has(key))
          if (!isThere)
            await this.#ask(() => {
              engine.set(key, life)
            })
          return { isFirst: !isThere, since: -Infinity }
        }
        const answer = await this.#ask(() => engine.claim(key, life, nodeNow))
        return this.#fault === 'trusts-empty-engine' ? { ...answer, since: -Infinity } : answer
      },
    }
  }

  /** Takes its way to the engine and back; lost on one of them, it is never answered, or fails. */
  async #ask<T>(what: () => T): Promise<T> {
    const { random } = this.#world
    await this.#way()
    const answer = what()
    if (random.below(50) === 0) throw new Error('the answer is lost')
    await this.#way()
    return answer
  }

  #way(): Promise<void> {
    const { random, now } = this.#world
    const isSlow = random.below(30) === 0
    return new Promise((resolve, reject) => {
      if (now < this.#cutUntil || random.below(100) === 0) {
        // It is noticed at once, or not at all.
        if (random.below(2) === 0) reject(new Error('the connection is lost'))
        return
      }
      this.#world.after(isSlow ? random.below(3000) : random.below(5), resolve)
    })
  }

  #crashesNow(): boolean {
    if (this.#world.random.below(200) > 0) return false
    this.crash(this.#world.random.below(8000))
    return true
  }

  #anyOff = () => this.#world.random.below(2 * clockTolerance + 1) - clockTolerance
}

/** One schedule with this many knocks; some of them arrive at several servers, and are copied and sent again. */
export async function simulateClaims(seed: number, knocks: number, fault?: ClaimFault): Promise<ClaimReport> {
  const world = new World(seed)
  const { random } = world
  const opened = new Map<number, number>()
  const refused: Record<string, number> = {}
  const engine = new Engine(world)
  const nodes = Array.from(
    { length: 2 + random.below(4) },
    () =>
      new Node(world, engine, fault, {
        opened: ({ number }) => opened.set(number, (opened.get(number) ?? 0) + 1),
        refused: reason => (refused[reason] = (refused[reason] ?? 0) + 1),
      }),
  )
  for (const node of nodes) engine.meet(node.now())
  const lasts = knocks * 100
  for (let number = 0; number < knocks; number++) {
    const sentAt = begins + random.below(lasts)
    const digest = Buffer.alloc(16)
    for (let at = 0; at < 16; at += 4) digest.writeUInt32LE(random.below(2 ** 32), at)
    // The clock of the client is wrong, too.
    const time = Math.floor((world.now + sentAt) / 1000) + random.below(2 * skew + 1) - skew
    const copies = 1 + random.below(6)
    for (let copy = 0; copy < copies; copy++) {
      // Most at once; those that were captured come up to the last moment at which they could count.
      const delay = random.below(3) > 0 ? random.below(20) : random.below(2 * (skew * 1000 + clockTolerance))
      const node = random.of(nodes)
      world.after(sentAt + delay, () => void node.receive({ number, digest, time }))
    }
  }
  const happens = (each: number, what: () => void) => {
    for (let i = 0; i < Math.max(1, lasts / each); i++) world.after(begins + random.below(lasts), what)
  }
  happens(8000, () => {
    random.of(nodes).cut(random.below(10_000))
  })
  happens(15_000, () => {
    random.of(nodes).setClock()
  })
  happens(60_000, () => {
    random.of(nodes).crash(random.below(20_000))
  })
  // Not so often that nothing would open.
  if (random.below(3) === 0) {
    world.after(begins + random.below(lasts), () => {
      engine.restart()
    })
  }
  await world.run()
  await turn()
  const doubles = [...opened.values()].filter(times => times > 1).length
  return { seed, knocks, opened: opened.size, doubles, refused }
}
