/**
 * When to install the packet path again because other sequences count: at the turns of rotating sequences, and after a
 * failure, until it succeeds.
 */
import type { Credential } from '../../config/types.js'
import { nextTurn } from '../../knock/index.js'
import type { Log } from '../report/log-interface.js'

/** The pause after a failure, which doubles with each further one. */
const firstPauseMilliseconds = 1000
const longestPauseMilliseconds = 60_000
/** The clock may be set in the meantime, as on a machine without a battery-backed clock. */
const maxWaitMilliseconds = 30_000

export class RotationTimer {
  #timer: NodeJS.Timeout | undefined
  #isStopping = false

  /** `clock` gives Unix seconds. */
  constructor(
    readonly renew: () => Promise<unknown>,
    readonly clock: () => number,
    readonly log: Log,
  ) {}

  /** Waits for the next turn: that of the hour, or an end of the grace period around it. */
  waitForTurn(credentials: readonly Credential[]): void {
    const now = this.clock()
    const turns = credentials.flatMap(credential =>
      credential.type === 'rotating' ? [nextTurn(now, credential.hour, credential.grace)] : [],
    )
    if (turns.length === 0) clearTimeout(this.#timer)
    else this.#await(Math.min(...turns), now)
  }

  /**
   * Renews now, and resolves to whether that succeeded. Otherwise it logs `trouble` and tries again; until then the
   * sequence that should count is not accepted.
   */
  async runNow(trouble: string, pause = firstPauseMilliseconds): Promise<boolean> {
    try {
      await this.renew()
      return true
    } catch (error) {
      if (this.#isStopping) return false
      this.log.error(`${trouble}, and it will be tried again: ${(error as Error).message}`, {
        event: 'lockout-risk',
      })
      this.#schedule(pause, () => void this.runNow(trouble, Math.min(longestPauseMilliseconds, pause * 2)))
      return false
    }
  }

  stop(): void {
    this.#isStopping = true
    clearTimeout(this.#timer)
  }

  /** `seen` is what the clock showed last. When the clock was set back, it is another hour as well. */
  #await(turn: number, seen: number): void {
    const now = this.clock()
    if (now >= turn || now < seen) {
      void this.runNow('the sequences of this hour could not be put in place')
      return
    }
    this.#schedule(Math.min((turn - now) * 1000, maxWaitMilliseconds), () => {
      this.#await(turn, now)
    })
  }

  /** Replaces what was scheduled before: each renewal asks for the next turn itself. */
  #schedule(milliseconds: number, work: () => void): void {
    clearTimeout(this.#timer)
    if (!this.#isStopping) this.#timer = setTimeout(work, milliseconds)
  }
}
