/** Grants made by command: one element in, refreshed, or out of a service's sets. The packet path has its own way. */
import type { IpFamily } from '../../net/index.js'
import { familyOf, ipFamilies, maskAddress } from '../../net/index.js'
import type { Command, Json } from '../nft-json.js'
import { addElements, deleteElements, flushSet } from '../nft-json.js'
import type { ListedElement, Listing } from '../listing.js'
import { asText } from '../listing.js'
import { setOf } from './service-sets.js'
import type { ServiceSpec } from './service-spec.js'
import { grantPrefix } from './service-spec.js'

/** What a grant needs to know of its service. */
export type GrantSpec = Pick<ServiceSpec, 'name' | 'prefix4' | 'prefix6'>

/**
 * Grants `address` for `seconds`, or without a time limit for null. Adding an element that is there does not restart its
 * timeout, and deleting one that has just expired would abort the transaction: add, delete, add does both.
 */
export function addGrant(
  spec: GrantSpec,
  version: IpFamily,
  address: string,
  seconds: number | null,
  comment?: string,
): Command[] {
  const set = setOf(spec.name, 'add', version)
  const element = elementOf(address, seconds, comment)
  return [addElements(set, [address]), deleteElements(set, [address]), addElements(set, [element])]
}

/** A grant as it is known outside of the kernel. */
export interface ServiceGrant {
  readonly service: string
  /** An address, or the prefix that is granted with it. */
  readonly source: string
  readonly by: 'knock' | 'hand'
  /** null: without a time limit. */
  readonly secondsLeft: number | null
  /** Of its element; see grant-comment.ts. */
  readonly comment?: string
}

const grantSet = ({ service, source, by }: ServiceGrant) =>
  setOf(service, by === 'knock' ? 'knock' : 'add', familyOf(source))

/** Makes a grant exactly so, in place of what is there of it. */
export function replaceGrant(grant: ServiceGrant): Command[] {
  return [...withdrawGrant(grant), createGrant(grant)]
}

/** Makes a grant where there is none. */
export const createGrant = (grant: ServiceGrant): Command =>
  addElements(grantSet(grant), [elementOf(grant.source, grant.secondsLeft, grant.comment)])

export function withdrawGrant(grant: ServiceGrant): Command[] {
  const set = grantSet(grant)
  return [addElements(set, [grant.source]), deleteElements(set, [grant.source])]
}

function elementOf(address: string, seconds: number | null, comment?: string): Json {
  const timeout = seconds === null ? {} : { timeout: Math.max(1, Math.floor(seconds)) }
  return element(address, timeout, comment)
}

/** An element with these attributes; without any, nft takes the bare value. */
export function element(val: string, times: Readonly<Record<string, number>>, comment?: string): Json {
  if (Object.keys(times).length === 0 && comment === undefined) return val
  return { elem: { val, ...times, ...(comment === undefined ? {} : { comment }) } }
}

/** Revokes what `address` was granted, by knock and by hand. */
export function deleteGrant(spec: GrantSpec, version: IpFamily, address: string): Command[] {
  return (['knock', 'add'] as const).flatMap(role => {
    const set = setOf(spec.name, role, version)
    return [addElements(set, [address]), deleteElements(set, [address])]
  })
}

/** Restores grants to the service's sets by the prefixes that the service has from now on. */
export function remaskGrants(spec: ServiceSpec, listing: Listing): Command[] {
  return ipFamilies.flatMap(version =>
    (['knock', 'add'] as const).flatMap(role => {
      const set = setOf(spec.name, role, version)
      const elements = listing.sets.get(set)?.elements ?? []
      const longest = new Map<string, Json>()
      // The longest life first: where two sources become one prefix, the first stays.
      const life = ({ timeout, expires }: ListedElement) => (timeout === undefined ? Infinity : (expires ?? 0))
      for (const old of [...elements].sort((a, b) => life(b) - life(a))) {
        const val = maskAddress(asText(old.value), grantPrefix(spec, version))
        const { timeout, expires, comment } = old
        if (longest.has(val)) continue
        // An element that is given 0 s to live gets its whole timeout again.
        const times = timeout === undefined ? {} : { timeout, expires: Math.max(1, expires ?? timeout) }
        longest.set(val, element(val, times, comment))
      }
      if (elements.length === 0) return []
      return [flushSet(set), addElements(set, [...longest.values()])]
    }),
  )
}
