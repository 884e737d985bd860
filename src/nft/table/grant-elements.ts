/** Grants made by command: one element in, refreshed, or out of a service's sets. The packet path has its own way. */
import type { IpFamily } from '../../net/index.js'
import { familyOf, ipFamilies, maskAddress } from '../../net/index.js'
import type { Command, Json } from '../nft-json.js'
import { addElements, deleteElements, flushSet } from '../nft-json.js'
import type { Listing } from '../listing.js'
import { asText } from '../listing.js'
import { setOf } from './service-sets.js'
import type { ServiceSpec } from './service-spec.js'
import { prefixOf } from './service-spec.js'

/** What a grant needs to know of its service. */
export type GrantSpec = Pick<ServiceSpec, 'name' | 'prefix4' | 'prefix6'>

/**
 * Grants `address` for `seconds`, or without a time limit for null. Adding an element that is there does not restart its
 * timeout, and deleting one that has just expired would abort the transaction: add, delete, add does both.
 */
export function addGrant(spec: GrantSpec, version: IpFamily, address: string, seconds: number | null): Command[] {
  const set = setOf(spec.name, 'add', version)
  return [addElements(set, [address]), deleteElements(set, [address]), addElements(set, [elementOf(address, seconds)])]
}

/** A grant as it is known outside of the kernel. */
export interface ServiceGrant {
  readonly service: string
  /** An address, or the prefix that is granted with it. */
  readonly source: string
  readonly by: 'knock' | 'hand'
  /** null: without a time limit. */
  readonly secondsLeft: number | null
}

const grantSet = ({ service, source, by }: ServiceGrant) =>
  setOf(service, by === 'knock' ? 'knock' : 'add', familyOf(source))

/** Makes a grant exactly so, in place of what is there of it. */
export function replaceGrant(grant: ServiceGrant): Command[] {
  return [...withdrawGrant(grant), createGrant(grant)]
}

/** Makes a grant where there is none. */
export const createGrant = (grant: ServiceGrant): Command =>
  addElements(grantSet(grant), [elementOf(grant.source, grant.secondsLeft)])

export function withdrawGrant(grant: ServiceGrant): Command[] {
  const set = grantSet(grant)
  return [addElements(set, [grant.source]), deleteElements(set, [grant.source])]
}

const elementOf = (address: string, seconds: number | null): Json =>
  seconds === null ? address : { elem: { val: address, timeout: Math.max(1, Math.floor(seconds)) } }

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
      const old = listing.sets.get(set)?.elements ?? []
      const longest = new Map<string, Json>()
      // The longest life first: where two sources become one prefix, the first stays.
      const life = (element: (typeof old)[number]) =>
        element.timeout === undefined ? Infinity : (element.expires ?? 0)
      for (const element of [...old].sort((a, b) => life(b) - life(a))) {
        const val = maskAddress(asText(element.value), prefixOf(spec, version))
        const { timeout, expires } = element
        if (longest.has(val)) continue
        longest.set(
          val,
          // An element that is given 0 s to live gets its whole timeout again.
          timeout === undefined ? val : { elem: { val, timeout, expires: Math.max(1, expires ?? timeout) } },
        )
      }
      if (old.length === 0) return []
      return [flushSet(set), addElements(set, [...longest.values()])]
    }),
  )
}
