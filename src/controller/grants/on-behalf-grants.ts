/**
 * Grants to addresses that a knock names on behalf of another host, and those of a part of what a credential opens. The
 * kernel adds the source of a packet only, and for all that a mark stands for, so these grants are added as by
 * `pkctl add`, one after the other.
 */
import { parseAddress } from '../../net/index.js'
import type { Firewall } from '../../nft/index.js'
import type { RequestedPart } from '../verify/requested-part.js'
import { partOf } from '../verify/requested-part.js'
import type { Granted } from '../report/knock-messages.js'
import type { Log } from '../report/log-interface.js'
import type { Triggers } from '../triggers/triggers.js'

/** Each starts processes. A client that sends many must not keep commands from getting the lock. */
const maxWaiting = 100

export class OnBehalfGrants {
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0

  /** `grantsOf` gives what a credential opens; undefined when it is gone from the configuration. */
  constructor(
    readonly firewall: Pick<Firewall, 'addGrant' | 'deleteGrant'>,
    readonly triggers: Pick<Triggers, 'opened' | 'closed'>,
    readonly log: Log,
    readonly grantsOf: (credential: string) => Granted | undefined,
  ) {}

  /** Adds a grant for `asked` after those that were requested before. A failure is logged. */
  request(credential: string, asked: string, part?: RequestedPart): void {
    this.#inTurn(`${asked} is not granted access on behalf, by ${credential}`, () =>
      this.#grant(credential, asked, part),
    )
  }

  /** The same, where `asked` loses what it was granted. */
  revoke(credential: string, asked: string, part?: RequestedPart): void {
    this.#inTurn(`the grants of ${asked} are not revoked, by ${credential}`, () =>
      this.#revoke(credential, asked, part),
    )
  }

  /** Resolves when all that was requested so far is done. */
  async settled(): Promise<void> {
    await this.#last
  }

  /** `otherwise`: what it means that too many wait. The work never rejects. */
  #inTurn(otherwise: string, work: () => Promise<void>): void {
    if (this.#waiting >= maxWaiting) {
      this.log.error(`${otherwise}: ${maxWaiting} others are waiting already`)
      return
    }
    this.#waiting++
    this.#last = this.#last.then(work).finally(() => {
      this.#waiting--
    })
  }

  async #revoke(credential: string, asked: string, part?: RequestedPart): Promise<void> {
    try {
      const { version, address } = parseAddress(asked)
      for (const { service } of partOf(this.grantsOf(credential) ?? [], part)) {
        await this.firewall.deleteGrant(service.name, version, address)
      }
      this.triggers.closed(credential, address)
    } catch (error) {
      const message = `the grants of ${asked} could not be revoked, by ${credential}: ${(error as Error).message}`
      this.log.error(message, { credential })
    }
  }

  async #grant(credential: string, asked: string, part?: RequestedPart): Promise<void> {
    const all = this.grantsOf(credential)
    if (!all) return
    const grants = partOf(all, part)
    // The line of a key can leave nothing of what its credential opens.
    if (part && grants.length === 0) return
    try {
      const { version, address } = parseAddress(asked)
      for (const { service, seconds } of grants) {
        const time = seconds === Infinity ? null : seconds
        // Neither a copy of a knock nor another credential may cut a grant short.
        await this.firewall.addGrant(service.name, version, address, time, true)
      }
      const atMost = part?.atMost === undefined ? undefined : Math.max(...grants.map(({ seconds }) => seconds))
      this.triggers.opened(credential, address, part?.seconds ?? atMost)
    } catch (error) {
      const message = `${asked} could not be granted access on behalf, by ${credential}: ${(error as Error).message}`
      this.log.error(message, { credential })
    }
  }
}
