/**
 * Tells the kernel that the daemon is there. Services with fail-open let everyone in unless they hear of it again and
 * again; for all others nothing is told.
 */
import type { Firewall } from '../nft/firewall.js'
import type { Log } from './log.js'

/** How long such services stay closed after a daemon that is gone. */
const aliveSeconds = 15
const everyMilliseconds = 5000

export class Heartbeat {
  #timer: NodeJS.Timeout | undefined

  constructor(
    readonly firewall: Pick<Firewall, 'stayAlive'>,
    readonly log: Log,
  ) {}

  /** Resolves when the kernel has been told for the first time. Rejects with an NftError. */
  async start(): Promise<void> {
    this.stop()
    await this.firewall.stayAlive(aliveSeconds)
    this.#timer = setInterval(() => {
      this.firewall.stayAlive(aliveSeconds).catch((error: unknown) => {
        const reason = (error as Error).message
        this.log.error(`services with fail-open may open, for the kernel cannot be told: ${reason}`)
      })
    }, everyMilliseconds)
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
