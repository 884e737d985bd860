/** The sets of a service: their names and definitions. */
import type { IpFamily } from '../../net/index.js'
import { familyOf, ipFamilies } from '../../net/index.js'
import type { SetDefinition } from '../nft-json.js'
import type { ServiceSpec } from './service-spec.js'

const setSize = 1_048_576
const collectEverySeconds = 10
/**
 * The sets of a service. `knock` is filled by the packet path, `add` and `allow` by commands. For grants of single use,
 * `used` has the connections that were let in, and the others the sources whose grant was just taken.
 */
type SetRole = 'knock' | 'add' | 'allow' | 'used' | 'knock-taken' | 'add-taken'

export function setOf(service: string, role: SetRole, version: IpFamily): string {
  return role === 'knock' ? `pk-${service}-${version}` : `pk-${service}.${role}-${version}`
}

export const addressType = (version: IpFamily) => (version === 4 ? 'ipv4_addr' : 'ipv6_addr')

/** The sets of the service: nothing is kept, looked up or listed that it does not need. */
export function setsOf(spec: ServiceSpec): SetDefinition[] {
  const timed = { flags: ['timeout'], size: setSize, gcInterval: collectEverySeconds }
  return ipFamilies.flatMap(version => {
    const name = (role: SetRole) => setOf(spec.name, role, version)
    const type = addressType(version)
    return [
      { name: name('knock'), type, ...timed },
      { name: name('add'), type, ...timed },
      ...(allowedBy(spec, version).length > 0 ? [{ name: name('allow'), type, flags: ['interval'] }] : []),
      ...(spec.singleUse
        ? [
            { name: name('used'), type: [type, 'inet_service', 'inet_service'], ...timed },
            { name: name('knock-taken'), type, ...timed, gcInterval: 1 },
            { name: name('add-taken'), type, ...timed, gcInterval: 1 },
          ]
        : []),
    ]
  })
}

/** The names of the sets that a sound service has. */
export const setNamesOf = (spec: ServiceSpec): string[] => setsOf(spec).map(({ name }) => name)

/** The allowed prefixes of one address family. */
export const allowedBy = (spec: ServiceSpec, version: IpFamily) =>
  spec.allow.filter(prefix => familyOf(prefix) === version)

/** Whether a set has the prefixes that a service always allows. */
export const isAllowSet = (set: string): boolean => set.includes('.allow-')

/** Whether a set of a service has elements that end. */
export const isTimedSet = (set: string): boolean => /^pk-.*-[46]$/.test(set) && !isAllowSet(set)

const roles: readonly SetRole[] = ['knock', 'add', 'allow', 'used', 'knock-taken', 'add-taken']

/** Whatever sets there may be of the service. */
export const setNames = (service: string): string[] =>
  ipFamilies.flatMap(version => roles.map(role => setOf(service, role, version)))
