/**
 * Knocks that take back what knocks have given an address. What a command has given it stays: the user of that command
 * relies on it, and has not asked for its end.
 */
import { parseAddress, prefixContains } from '../../net/index.js'
import type { Firewall } from '../../nft/index.js'
import type { KnockGrant, KnockGrantStore } from './knock-grant-store.js'
import { slackSeconds } from './knock-grants.js'

interface ClosingParts {
  readonly store: Pick<KnockGrantStore, 'running' | 'forget'>
  readonly firewall: Pick<Firewall, 'closeGrant'>
  /** Seconds of the clock of the store. */
  readonly now: () => number
  /** Told of each service that is closed for an address. */
  readonly onClosed?: ((service: string, address: string) => void) | undefined
}

/**
 * Revokes the grants, and resolves to whether the credential has given the address nothing else that runs. Calls `onClosed`
 * with each service that is done, and rejects with what the firewall says.
 */
type CloseServices = (services: readonly string[], onClosed?: (service: string) => void) => Promise<boolean>

export class ClosingKnocks {
  constructor(readonly parts: ClosingParts) {}

  /** Of what is granted now: what a later knock opens, this one does not close. */
  begin(credential: string, written: string): CloseServices {
    const { store, firewall, now } = this.parts
    const running = store.running()
    const known = new Set(running)
    return async (services, onClosed) => {
      const { version, address } = parseAddress(written)
      const closed = new Set<KnockGrant>()
      for (const service of services) {
        const isOf = (one: KnockGrant, prefix: string) => one.service === service && prefixContains(prefix, one.address)
        const covered = new Set<KnockGrant>()
        const secondsByKnock = (prefix: string) => {
          for (const one of running) if (isOf(one, prefix)) covered.add(one)
          const ends = [...covered].flatMap(({ by, until }) => (by === 'hand' ? [until - now() + slackSeconds] : []))
          return ends.length === 0 ? undefined : Math.max(...ends)
        }
        // This waits for the lock. The kernel has granted a knock that came meanwhile by then.
        const isOpenedAgain = (prefix: string) =>
          store.running().some(one => one.by === 'knock' && !known.has(one) && isOf(one, prefix))
        const change = await firewall.closeGrant(service, version, address, secondsByKnock, isOpenedAgain)
        // What a knock has added to the grant of a command runs on: its user can still be revoked.
        const isLeft = ({ by }: KnockGrant) => by === 'hand' && change.leavesByCommand === true
        store.forget([...covered].filter(one => !isLeft(one)))
        for (const one of covered) closed.add(one)
        this.parts.onClosed?.(service, address)
        onClosed?.(service)
      }
      return running.every(one => one.credential !== credential || one.address !== address || closed.has(one))
    }
  }
}
