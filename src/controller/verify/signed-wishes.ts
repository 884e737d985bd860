/** What a knock gets of what it wishes for: what its credential grants, and the line of its key allows. */
import type { Requested, Wishes } from '../../knock/index.js'
import type { IpFamily } from '../../net/index.js'
import type { RequestedPart, GrantedPorts } from './requested-part.js'
import type { Prefixes } from './prefix-list.js'
import { isIn, prefixList } from './prefix-list.js'
import type { SignerRights } from './signature-job.js'

interface WishLimits {
  readonly grants: readonly GrantedPorts[]
  readonly revokes: boolean
  /** The longest time that can be asked for where the credential grants less; null = none. */
  readonly maxWindow?: number | null
}

/** Where there is no line of a key, as with symmetric knocks: what the credential grants, and no prefix. */
export const rightsOfAll: SignerRights = {
  ...{ opens: null, window: null, prefix4: null, prefix6: null },
  ...{ onBehalfOf: [], asksOutside: false },
}

/** What is granted; undefined = all that the credential grants, or revokes, by its mark. */
export function wishedPart(
  { grants, revokes, maxWindow }: WishLimits,
  rights: SignerRights,
  { services, window }: Wishes,
): RequestedPart | undefined {
  const chosen = grants.filter(
    ({ service }) => (rights.opens?.includes(service) ?? true) && (services.length === 0 || services.includes(service)),
  )
  // A longer time than is allowed is cut.
  const atMost = Math.min(rights.window ?? Infinity, window ?? Infinity)
  const atLeast = window === null ? 0 : Math.min(atMost, maxWindow ?? 0)
  const isOwnTime = grants.every(({ seconds }) => atLeast <= seconds && seconds <= atMost)
  if (chosen.length === grants.length && (revokes || isOwnTime)) return undefined
  return {
    ...{ services: chosen.map(({ service }) => service), seconds: null },
    ...(atMost === Infinity ? {} : { atMost }),
    ...(atLeast === 0 ? {} : { atLeast }),
  }
}

/**
 * Why the prefix of its source, or the other addresses, that it asks for are refused; undefined where it may have them, or
 * asks for none. Of a prefix each service gives what it grants of every source: that cuts what is wider, and needs no
 * answer of its own.
 */
export function wishRefusal(
  allowed: Prefixes | null,
  rights: SignerRights,
  { prefix, other, host }: Wishes,
  version: IpFamily,
): 'prefix-not-allowed' | 'address-not-allowed' | undefined {
  if (prefix !== null && (version === 4 ? rights.prefix4 : rights.prefix6) === null) return 'prefix-not-allowed'
  if (rights.asksOutside) return 'address-not-allowed'
  const ofLine = rights.onBehalfOf.length === 0 ? allowed : prefixList(rights.onBehalfOf)
  const isAllowed = (requested: Requested | null) =>
    requested === null || (allowed !== null && ofLine !== null && isIn(allowed, requested) && isIn(ofLine, requested))
  return isAllowed(other) && isAllowed(host) ? undefined : 'address-not-allowed'
}
