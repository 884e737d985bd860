/** What the packet path tells the rest of the daemon: numbers always, single knocks as far as a log can take them. */
import type { Refusal } from './gatekeeper.js'
import { refusals } from './gatekeeper.js'

/** One decision, for the log. */
export interface KnockEvent {
  readonly kind: 'grant' | 'revoke' | 'refuse'
  readonly reason?: Refusal
  readonly credential?: string
  readonly source: string
  readonly port: number
  /** How far the client's clock is ahead of ours, in seconds. */
  readonly skewSeconds?: number
}

/** How many knocks were held back from the log: those that anybody can send, and others. */
export interface Suppressed {
  readonly strangers: number
  readonly others: number
}

/** What is posted from the packet path's thread. */
export type PathMessage =
  | { readonly kind: 'ready'; readonly wakeWriter: number }
  | { readonly kind: 'failed'; readonly message: string; readonly hint?: string }
  | { readonly kind: 'configured' }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'knocks'; readonly events: readonly KnockEvent[]; readonly suppressed: Suppressed }
  | { readonly kind: 'trouble'; readonly message: string; readonly level: 'error' | 'warn' }

const names = ['packets', 'granted', 'revoked', 'steps', 'pending', 'stray', 'overruns', ...refusals] as const
export type CounterName = (typeof names)[number]

/** Counters in memory that both threads see; only the packet path's writes. */
export class Counters {
  readonly #values: Float64Array

  constructor(readonly memory = new SharedArrayBuffer(names.length * 8)) {
    this.#values = new Float64Array(memory)
  }

  add(name: CounterName, count = 1): void {
    const index = indexOf.get(name) as number
    this.#values[index] = (this.#values[index] as number) + count
  }

  get(name: CounterName): number {
    return this.#values[indexOf.get(name) as number] as number
  }
}

const indexOf: ReadonlyMap<CounterName, number> = new Map(names.map((name, i) => [name, i]))

/**
 * Lets so many events a second through, and counts the rest: nobody, with or without a key, may fill the disk or stop
 * the packet path by what he makes the daemon say.
 */
export class EventValve {
  #second = -1
  #passed = 0
  #suppressed = 0

  constructor(readonly perSecond: number) {}

  pass(nowSeconds: number): boolean {
    const second = Math.floor(nowSeconds)
    if (second !== this.#second) {
      this.#second = second
      this.#passed = 0
    }
    if (this.#passed < this.perSecond) {
      this.#passed++
      return true
    }
    this.#suppressed++
    return false
  }

  /** How many were held back since the last call. */
  takeSuppressed(): number {
    const count = this.#suppressed
    this.#suppressed = 0
    return count
  }
}
