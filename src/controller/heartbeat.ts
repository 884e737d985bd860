/**
 * Tells the kernel that the daemon runs. Services with fail-open accept all sources unless this is repeated; for other
 * services it does not run.
 */
import type { Firewall } from '../nft/index.js'
import type { Log } from './log.js'

const everyMilliseconds = 5000

export class Heartbeat {
  #timer: NodeJS.Timeout | undefined

  constructor(
    readonly firewall: Pick<Firewall, 'stayAlive'>,
    readonly log: Log,
  ) {}

  /** Resolves after the first beat, also when the kernel refused it. */
  async start(): Promise<void> {
    this.stop()
    this.#timer = setInterval(() => void this.#beat(), everyMilliseconds)
    await this.#beat()
  }

  async #beat(): Promise<void> {
    try {
      await this.firewall.stayAlive()
    } catch (error) {
      this.log.error(
        `services with fail-open may open, because the kernel cannot be updated: ${(error as Error).message}`,
      )
    }
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
