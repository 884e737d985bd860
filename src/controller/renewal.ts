/** When what is drawn from credentials is drawn anew: at the turns of rotating sequences, and again until it is done. */
import { nextTurn } from '../knock/rotating.js'
import type { Credential } from './config/types.js'
import type { Log } from './log.js'

/** What failed is tried again after this, and then after twice the time as before. */
const firstPauseMilliseconds = 1000
const longestPauseMilliseconds = 60_000

export class Renewal {
  #timer: NodeJS.Timeout | undefined
  #isEnding = false

  constructor(
    readonly renew: () => Promise<unknown>,
    readonly log: Log,
  ) {}

  /** Waits for the next turn: that of the hour, and the ends of the grace around it. `now`: Unix seconds. */
  waitForTurn(credentials: readonly Credential[], now: number): void {
    const turns = credentials.flatMap(credential =>
      credential.type === 'rotating' ? [nextTurn(now, credential.hour, credential.grace)] : [],
    )
    if (turns.length === 0) {
      clearTimeout(this.#timer)
      return
    }
    this.#later((Math.min(...turns) - now) * 1000, () =>
      this.at('the sequences of this hour could not be put in place'),
    )
  }

  /** Resolves to whether it was done. If not it will be tried again: until then nobody can knock by what should count. */
  async at(trouble: string, pause = firstPauseMilliseconds): Promise<boolean> {
    try {
      await this.renew()
      return true
    } catch (error) {
      if (this.#isEnding) return false
      this.log.error(`${trouble}, and it will be tried again: ${(error as Error).message}`)
      this.#later(pause, () => this.at(trouble, Math.min(longestPauseMilliseconds, pause * 2)))
      return false
    }
  }

  stop(): void {
    this.#isEnding = true
    clearTimeout(this.#timer)
  }

  /** In place of what it waited for until now: whatever is done next asks for the next turn. */
  #later(milliseconds: number, work: () => Promise<unknown>): void {
    clearTimeout(this.#timer)
    if (!this.#isEnding) this.#timer = setTimeout(() => void work(), milliseconds)
  }
}
