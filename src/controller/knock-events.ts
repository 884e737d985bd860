/** What the packet path tells the rest of the daemon: numbers always, single knocks as far as a log can take them. */
import type { Refusal } from './verifier.js'
import { refusals } from './verifier.js'

/** One decision, for the log. */
export interface KnockEvent {
  readonly kind: 'grant' | 'revoke' | 'refuse'
  readonly reason?: Refusal
  readonly credential?: string
  readonly source: string
  /** The address that is let in instead of the source. */
  readonly onBehalfOf?: string
  readonly port: number
  /** How far the client's clock is ahead of ours, in seconds. */
  readonly skewSeconds?: number
}

/** What has to follow a decision, outside of the packet path; unlike events for the log, none is ever left out. */
export type Effect =
  /** A trigger's knock was right: `address` is let in, or no longer. */
  | { readonly kind: 'opened' | 'closed'; readonly credential: string; readonly address: string }
  /** `address` is to be let in, which is not the source that the kernel could see. */
  | { readonly kind: 'on-behalf'; readonly credential: string; readonly address: string }
  /** A sequence is used up, and the next one counts. */
  | { readonly kind: 'spent'; readonly credential: string }

/** How many knocks were held back from the log: those that anybody can send, and others. */
export interface Suppressed {
  readonly strangers: number
  readonly others: number
}

/** A source in the middle of a sequence. */
export interface SequenceProgress {
  readonly address: string
  readonly credential: string
  /** How many knocks of how many. */
  readonly made: number
  readonly of: number
}

/** What is posted from the packet path's thread. */
export type WorkerMessage =
  | { readonly kind: 'ready'; readonly wakeWriter: number }
  | { readonly kind: 'failed'; readonly message: string; readonly hint?: string }
  | { readonly kind: 'configured' }
  | { readonly kind: 'answers' }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'knocks'; readonly events: readonly KnockEvent[]; readonly suppressed: Suppressed }
  | { readonly kind: 'effects'; readonly effects: readonly Effect[] }
  | { readonly kind: 'midway'; readonly sources: readonly SequenceProgress[] }
  | { readonly kind: 'trouble'; readonly message: string; readonly level: 'error' | 'warn' }

/** `accepted`: right knocks, also those that take a grant back. */
const names = ['accepted', 'pending', 'stray', ...refusals] as const
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
export class EventLimiter {
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
