/** When what is drawn from credentials is drawn anew: at the turns of rotating sequences, and again until it is done. */
import type { Credential } from '../config/types.js'
import { nextTurn } from '../knock/rotating.js'
import type { Log } from './log.js'

/** What failed is tried again after this, and then after twice the time as before. */
const firstPauseMilliseconds = 1000
const longestPauseMilliseconds = 60_000
/** The clock may be set meanwhile, as on a machine that has none when it is off. */
const maxWaitMilliseconds = 30_000

export class RotationTimer {
  #timer: NodeJS.Timeout | undefined
  #isEnding = false

  /** `clock` gives Unix seconds. */
  constructor(
    readonly renew: () => Promise<unknown>,
    readonly clock: () => number,
    readonly log: Log,
  ) {}

  /** Waits for the next turn: that of the hour, and the ends of the grace around it. */
  waitForTurn(credentials: readonly Credential[]): void {
    const now = this.clock()
    const turns = credentials.flatMap(credential =>
      credential.type === 'rotating' ? [nextTurn(now, credential.hour, credential.grace)] : [],
    )
    if (turns.length === 0) clearTimeout(this.#timer)
    else this.#await(Math.min(...turns), now)
  }

  /** Resolves to whether it was done. If not it will be tried again: until then nobody can knock by what should count. */
  async at(trouble: string, pause = firstPauseMilliseconds): Promise<boolean> {
    try {
      await this.renew()
      return true
    } catch (error) {
      if (this.#isEnding) return false
      this.log.error(`${trouble}, and it will be tried again: ${(error as Error).message}`)
      this.#later(pause, () => void this.at(trouble, Math.min(longestPauseMilliseconds, pause * 2)))
      return false
    }
  }

  stop(): void {
    this.#isEnding = true
    clearTimeout(this.#timer)
  }

  /** `seen` is what the clock showed last: when it was set back, it is another hour, too. */
  #await(turn: number, seen: number): void {
    const now = this.clock()
    if (now >= turn || now < seen) {
      void this.at('the sequences of this hour could not be put in place')
      return
    }
    this.#later(Math.min((turn - now) * 1000, maxWaitMilliseconds), () => {
      this.#await(turn, now)
    })
  }

  /** In place of what it waited for until now: whatever is done next asks for the next turn. */
  #later(milliseconds: number, work: () => void): void {
    clearTimeout(this.#timer)
    if (!this.#isEnding) this.#timer = setTimeout(work, milliseconds)
  }
}
