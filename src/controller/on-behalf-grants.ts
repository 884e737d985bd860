/**
 * Grants to addresses that a knock names on behalf of another host. The kernel adds the source of a packet only, so these
 * grants are added as by `pkctl add`, one after the other.
 */
import { parseAddress } from '../net/index.js'
import type { Firewall } from '../nft/index.js'
import type { Granted } from './log-messages.js'
import type { Log } from './log.js'
import type { Triggers } from './triggers.js'

/** Each starts processes. A client that sends many must not keep commands from getting the lock. */
const maxWaiting = 100

export class OnBehalfGrants {
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0

  /** `grantsOf` gives what a credential opens; undefined when it is gone from the configuration. */
  constructor(
    readonly firewall: Pick<Firewall, 'addGrant'>,
    readonly triggers: Pick<Triggers, 'opened'>,
    readonly log: Log,
    readonly grantsOf: (credential: string) => Granted | undefined,
  ) {}

  /** Adds a grant for `asked` after those that were requested before. A failure is logged. */
  request(credential: string, asked: string): void {
    if (this.#waiting >= maxWaiting) {
      this.log.error(
        `${asked} is not granted access on behalf, by ${credential}: ${maxWaiting} others are waiting already`,
      )
      return
    }
    this.#waiting++
    this.#last = this.#last
      .then(() => this.#grant(credential, asked))
      .finally(() => {
        this.#waiting--
      })
  }

  async #grant(credential: string, asked: string): Promise<void> {
    const grants = this.grantsOf(credential)
    if (!grants) return
    try {
      const { version, address } = parseAddress(asked)
      for (const { service, seconds } of grants) {
        const time = seconds === Infinity ? null : seconds
        // Neither a copy of a knock nor another credential may cut a grant short.
        await this.firewall.addGrant(service.name, version, address, time, true)
      }
      this.triggers.opened(credential, address)
    } catch (error) {
      const message = `${asked} could not be granted access on behalf, by ${credential}: ${(error as Error).message}`
      this.log.error(message, { credential })
    }
  }
}
