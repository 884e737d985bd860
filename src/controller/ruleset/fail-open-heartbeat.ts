/**
 * Tells the kernel that the daemon runs. Services with fail-open accept all sources unless this is repeated; for other
 * services it does not run.
 */
import type { Firewall } from '../../nft/index.js'
import type { Log } from '../report/log-interface.js'

const everyMilliseconds = 5000

export class FailOpenHeartbeat {
  #timer: NodeJS.Timeout | undefined
  #isBeating = false

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

  /** One at a time: an nft that hangs is not joined by others. */
  async #beat(): Promise<void> {
    if (this.#isBeating) return
    this.#isBeating = true
    try {
      await this.firewall.stayAlive()
    } catch (error) {
      this.log.error(
        `services with fail-open may open, because the kernel cannot be updated: ${(error as Error).message}`,
      )
    } finally {
      this.#isBeating = false
    }
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
