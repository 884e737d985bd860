/**
 * Reads which grants run, at the start and whenever something may have happened that was not reported: until it is done,
 * because nft needs a moment before it sees, longer the more elements there are.
 */
import type { GrantTracker, Reconciler } from '../../nft/index.js'
import type { Timers } from '../timers.js'

/** Reading is tried again after this, and then after twice the time as before. */
const firstReadMilliseconds = 100
const longestReadMilliseconds = 10_000

interface RunningGrantsParts {
  readonly reconciler: Pick<Reconciler, 'readGrants'>
  readonly tracker: Pick<GrantTracker, 'forgetAll'>
  readonly timers: Timers
  /** A read begins. */
  readonly onBegin: () => void
  /** The running grants are known. */
  readonly onRead: () => void
  readonly onTrouble: (message: string) => void
}

export class RunningGrants {
  /** Raised by everything after which grants have to be read again. */
  #generation = 0
  #isReading = false
  readonly #parts: RunningGrantsParts

  constructor(parts: RunningGrantsParts) {
    this.#parts = parts
  }

  /** From now on it is not known which grants run, whatever a read under way will find. */
  forget(): void {
    this.#parts.tracker.forgetAll()
    this.#generation++
  }

  /** Forgets them, and reads them until `onRead`. */
  read(): void {
    this.#read(firstReadMilliseconds)
  }

  #read(pause: number): void {
    this.forget()
    this.#parts.onBegin()
    if (!this.#isReading) void this.#tryToRead(pause)
  }

  async #tryToRead(pause: number): Promise<void> {
    const { reconciler, timers, onRead, onTrouble } = this.#parts
    const generation = this.#generation
    const isCurrent = () => generation === this.#generation
    let isRead = false
    this.#isReading = true
    try {
      isRead = await reconciler.readGrants(isCurrent)
    } catch (error) {
      // At first it may be that the table is not there just now.
      if (pause >= longestReadMilliseconds)
        onTrouble(`the running grants could not be read: ${(error as Error).message}`)
    }
    this.#isReading = false
    if (isRead && isCurrent()) {
      onRead()
      return
    }
    // A read that was overtaken has not failed.
    const [wait, next] = isCurrent()
      ? [pause, Math.min(longestReadMilliseconds, pause * 2)]
      : [firstReadMilliseconds, firstReadMilliseconds]
    const latest = this.#generation
    timers.later(wait, () => {
      if (latest === this.#generation && !this.#isReading) this.#read(next)
    })
  }
}
