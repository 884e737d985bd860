/**
 * Tells the kernel that the daemon is there. Services with fail-open let everyone in unless they hear of it again and
 * again; for all others nothing is told.
 */
import type { Firewall } from '../nft/reconcile/firewall.js'
import type { Log } from './log.js'

const everyMilliseconds = 5000

export class Heartbeat {
  #timer: NodeJS.Timeout | undefined

  constructor(
    readonly firewall: Pick<Firewall, 'stayAlive'>,
    readonly log: Log,
  ) {}

  /** Resolves when the kernel has been told for the first time, or refused. */
  async start(): Promise<void> {
    this.stop()
    this.#timer = setInterval(() => void this.#beat(), everyMilliseconds)
    await this.#beat()
  }

  async #beat(): Promise<void> {
    try {
      await this.firewall.stayAlive()
    } catch (error) {
      this.log.error(`services with fail-open may open, for the kernel cannot be told: ${(error as Error).message}`)
    }
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
