/**
 * Follows sources through port sequences: a source knocks at ports in an order, and the last one completes it. Pure: what
 * came, and when.
 *
 * A sequence is complete when its steps came one right after the other, with nothing else of the same source between
 * them. What else counts is decided outside, by which packets are fed; but a repetition of the last step that counted (a SYN
 * sent again, a datagram doubled on the way) never breaks a knock. After a wrong step, as much of the sequence counts
 * as the latest steps still make up (the failure function of Knuth, Morris and Pratt, 1977), so that an attempt may
 * follow a failed one at once.
 */
import type { Step } from './step.js'
import { stepKey } from './step.js'

interface Pattern<T> {
  readonly steps: readonly Step[]
  /** Seconds for the whole sequence, from its first step. */
  readonly timeoutSeconds: number
  /** What is complete with the sequence. */
  readonly value: T
}

interface Compiled<T> extends Pattern<T> {
  readonly keys: readonly number[]
  /** For each number of steps that count, how many of them still count when the next is wrong. */
  readonly fallback: readonly number[]
}

interface Progress<T> {
  readonly pattern: Compiled<T>
  /** When each step that counts was made, oldest first: as long as the progress is. */
  times: number[]
}

/**
 * Follows many sources through many sequences. Cost does not grow with the number of sequences: a step touches those
 * that begin with it and those in which its source is. Memory is bounded: of too many sources, the one that was silent
 * for longest is forgotten.
 */
export class SequenceTracker<T> {
  readonly #byFirst = new Map<number, Compiled<T>[]>()
  readonly #longestTimeout: number
  // In the order of their latest step.
  readonly #sources = new Map<string, { attempts: Progress<T>[]; last: number }>()

  constructor(
    patterns: readonly Pattern<T>[],
    readonly maxSources: number,
    /** Called for an attempt whose time is over when its source knocks again. */
    readonly onLate: (value: T) => void = () => undefined,
  ) {
    for (const pattern of patterns) {
      const keys = pattern.steps.map(({ protocol, port }) => stepKey(protocol, port))
      const compiled = { ...pattern, keys, fallback: fallbacks(keys) }
      const first = keys[0] as number
      this.#byFirst.set(first, [...(this.#byFirst.get(first) ?? []), compiled])
    }
    this.#longestTimeout = Math.max(0, ...patterns.map(pattern => pattern.timeoutSeconds))
  }

  /** Sources in mid-sequence, as far as they have not run out of time unnoticed. */
  get size(): number {
    return this.#sources.size
  }

  /** The source begins anew. */
  forget(source: string): void {
    this.#sources.delete(source)
  }

  /** Every attempt that is under way, with how many steps of it are made. */
  attempts(): { source: string; value: T; made: number }[] {
    return [...this.#sources].flatMap(([source, { attempts }]) =>
      attempts.map(({ pattern, times }) => ({ source, value: pattern.value, made: times.length })),
    )
  }

  /**
   * A source knocked at a port. Gives what that completed; times are seconds of a clock that never goes back. The knock
   * is nothing to those that it does not count for.
   */
  knock(source: string, protocol: number, port: number, now: number, counts: (value: T) => boolean = () => true): T[] {
    const before = this.#sources.get(source)
    if (before)
      for (const { pattern, times } of before.attempts) if (isLate(pattern, times, now)) this.onLate(pattern.value)
    this.#forgetSilent(now)
    const key = stepKey(protocol, port)
    const known = this.#sources.get(source)
    const beginning = (this.#byFirst.get(key) ?? []).filter(({ value }) => counts(value))
    if (!known && beginning.length === 0) return []
    this.#sources.delete(source)
    const completed: T[] = []
    const attempts: Progress<T>[] = []
    const under = new Set<Compiled<T>>()
    for (const attempt of known?.attempts ?? []) {
      under.add(attempt.pattern)
      if (counts(attempt.pattern.value)) advance(attempt, key, now)
      if (attempt.times.length === attempt.pattern.keys.length) completed.push(attempt.pattern.value)
      else if (attempt.times.length > 0) attempts.push(attempt)
    }
    for (const pattern of beginning) {
      if (under.has(pattern)) continue
      if (pattern.keys.length === 1) completed.push(pattern.value)
      else attempts.push({ pattern, times: [now] })
    }
    if (attempts.length > 0) this.#remember(source, attempts, now)
    return completed
  }

  #remember(source: string, attempts: Progress<T>[], now: number): void {
    this.#sources.set(source, { attempts, last: now })
    if (this.#sources.size <= this.maxSources) return
    const oldest = this.#sources.keys().next()
    if (!oldest.done) this.#sources.delete(oldest.value)
  }

  #forgetSilent(now: number): void {
    for (const [source, { last }] of this.#sources) {
      // Twice the time, so that a source that is only late is still known.
      if (now - last <= 2 * this.#longestTimeout) return
      this.#sources.delete(source)
    }
  }
}

function advance<T>(attempt: Progress<T>, key: number, now: number): void {
  const { keys, fallback } = attempt.pattern
  // Too late for the whole: what came first does not count any more, but a later part may be the beginning of another.
  while (isLate(attempt.pattern, attempt.times, now)) keep(attempt, fallback)
  const made = attempt.times.length
  if (keys[made] !== key && made > 0 && keys[made - 1] === key) return
  while (attempt.times.length > 0 && keys[attempt.times.length] !== key) keep(attempt, fallback)
  if (keys[attempt.times.length] === key) attempt.times.push(now)
}

const isLate = ({ timeoutSeconds }: Pick<Pattern<unknown>, 'timeoutSeconds'>, times: readonly number[], now: number) =>
  times.length > 0 && now - (times[0] as number) > timeoutSeconds

/** Falls back to the latest steps that are a beginning, too. */
function keep<T>(attempt: Progress<T>, fallback: readonly number[]): void {
  const still = fallback[attempt.times.length] ?? 0
  attempt.times = still === 0 ? [] : attempt.times.slice(-still)
}

function fallbacks(keys: readonly number[]): number[] {
  const table = [0, 0]
  for (let length = 2; length <= keys.length; length++) {
    let still = table[length - 1] as number
    while (still > 0 && keys[still] !== keys[length - 1]) still = table[still] as number
    table.push(keys[still] === keys[length - 1] ? still + 1 : 0)
  }
  return table
}
