/**
 * Tells the kernel with which words packets of rotating formats begin in this period and its neighbours. Without such
 * credentials it does not run. When the daemon ends, the kernel stops to pass such packets on by itself.
 */
import { knockFormats } from '../../config/credentials/credential-types.js'
import type { Credential } from '../../config/types.js'
import type { Firewall, PeriodWords } from '../../nft/index.js'
import { periodWords } from '../../nft/index.js'
import type { Log } from '../report/log-interface.js'

/** The clock can be set, so it is read more often than a period lasts. */
const everyMilliseconds = 2000

export class PeriodRenewal {
  #timer: NodeJS.Timeout | undefined
  #isRenewing = false
  #isFailing = false
  /** The words that the kernel has. */
  #installed = ''
  #credentials: readonly Credential[] = []

  /** `now` gives Unix milliseconds. */
  constructor(
    readonly firewall: Pick<Firewall, 'renewPeriods'>,
    readonly now: () => number,
    readonly log: Log,
  ) {}

  /** To be called when the packet path has just been installed for these credentials. */
  follow(credentials: readonly Credential[]): void {
    this.stop()
    this.#credentials = credentials
    const words = this.#words()
    this.#installed = JSON.stringify(words)
    if (words.length > 0) this.#timer = setInterval(() => void this.#renew(), everyMilliseconds)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** One at a time: an nft that hangs is not joined by others. */
  async #renew(): Promise<void> {
    const words = this.#words()
    const text = JSON.stringify(words)
    if (this.#isRenewing || text === this.#installed) return
    this.#isRenewing = true
    try {
      await this.firewall.renewPeriods(words)
      this.#installed = text
      this.#isFailing = false
    } catch (error) {
      const message = `the kernel drops knocks of this minute, because it cannot be updated: ${(error as Error).message}`
      if (!this.#isFailing) this.log.error(message, { event: 'lockout-risk' })
      this.#isFailing = true
    } finally {
      this.#isRenewing = false
    }
  }

  #words(): PeriodWords[] {
    const time = Math.floor(this.now() / 1000)
    return periodWords(
      this.#credentials.flatMap(credential => ('skew' in credential ? knockFormats.shapesOf(credential, time) : [])),
    )
  }
}
