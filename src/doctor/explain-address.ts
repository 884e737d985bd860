/** Whether an address would get in at each service, by which rule, and what the tables of others would do: pure judgement over facts. */
import { prefixContains } from '../net/index.js'
import type { ServiceState } from '../nft/index.js'
import { closedBy } from './checks/check-foreign-drops.js'
import type { Facts, KernelFacts } from './facts.js'
import type { Finding } from './finding.js'

/**
 * `granted`, `allowed`: by a grant, by the allowlist; `open`: everyone gets in; `refused`: this address does not.
 */
type AddressAccess = 'granted' | 'allowed' | 'open' | 'refused'

interface Verdict {
  readonly access: AddressAccess
  /** What decides in pkctl's table: a set that contains the address, or the end of the chain. */
  readonly rule: string
  /** How a grant was made, and how long it lasts; null: without a time limit, or no grant. */
  readonly by?: 'knock' | 'hand'
  readonly secondsLeft?: number | null
}

export interface Explanation extends Verdict {
  readonly state: ServiceState
  /** What keeps packets from the service, whatever pkctl does with them. */
  readonly objections: readonly Finding[]
}

export function explainAddress(
  address: string,
  kernel: KernelFacts,
  daemon: Pick<Facts['daemon'], 'state'>,
): Explanation[] {
  return [...kernel.services.values()].map(state => ({
    state,
    ...verdictOn(address, state, daemon.state === 'answers'),
    objections: closedBy(state.spec, kernel, address),
  }))
}

/** In the order of the rules of a service. */
function verdictOn(address: string, { spec, grants }: ServiceState, isDaemonThere: boolean): Verdict {
  const { name, allow, closing, failOpen } = spec
  const chain = `chain pk-${name}`
  const allowed = allow.find(prefix => prefixContains(prefix, address))
  if (allowed !== undefined) return { access: 'allowed', rule: `${chain}: ${allowed} is on the allowlist` }
  const grant = longest(grants.filter(({ source }) => prefixContains(source, address)))
  if (grant) {
    const { source, by, secondsLeft } = grant
    return { access: 'granted', rule: `${chain}: a grant of ${source}`, by, secondsLeft }
  }
  if (failOpen && !isDaemonThere) return { access: 'open', rule: `${chain}: fail-open, because no pkctld answers` }
  if (closing === 'accept') return { access: 'open', rule: `${chain}: accept, the service only watches` }
  return { access: 'refused', rule: `${chain}: no grant, so ${closing}` }
}

const longest = (grants: ServiceState['grants']) =>
  grants.toSorted((a, b) => (b.secondsLeft ?? Infinity) - (a.secondsLeft ?? Infinity))[0]
