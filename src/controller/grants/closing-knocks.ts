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
}

/**
 * Revokes the grants, and resolves to whether the credential has given the address nothing else that runs. Rejects with what
 * the firewall says.
 */
type CloseServices = (services: readonly string[]) => Promise<boolean>

export class ClosingKnocks {
  constructor(readonly parts: ClosingParts) {}

  /** Of what is granted now: what a later knock opens, this one does not close. */
  begin(credential: string, written: string): CloseServices {
    const { store, firewall, now } = this.parts
    const running = store.running()
    return async services => {
      const { version, address } = parseAddress(written)
      const closed = new Set<KnockGrant>()
      for (const service of services) {
        await firewall.closeGrant(service, version, address, source => {
          const covered = running.filter(one => one.service === service && prefixContains(source, one.address))
          for (const one of covered) closed.add(one)
          const ends = covered.flatMap(({ by, until }) => (by === 'hand' ? [until - now() + slackSeconds] : []))
          return ends.length === 0 ? undefined : Math.max(...ends)
        })
      }
      store.forget([...closed])
      return running.every(one => one.credential !== credential || one.address !== address || closed.has(one))
    }
  }
}
