/** What the names of interfaces in a configuration mean on this machine, now. */
import type { HostInterface } from '../net/index.js'
import { matchesInterface } from '../net/index.js'
import type { ServiceSpec } from '../nft/index.js'
import type { Config, StepsCredential } from './types.js'

/** An interface that a service or a credential names, and why its packets are not those that may be meant. */
interface UnmatchedInterface {
  readonly service?: string
  readonly credential?: string
  /** A sentence. */
  readonly message: string
  readonly advice: string
}

/** The names that match nothing now, or what never comes in by that name itself. */
export function unmatchedInterfaces(
  named: { readonly services: Iterable<ServiceSpec>; readonly credentials: Config['credentials'] },
  host: readonly HostInterface[] | null,
  /** Of the kernel, as `uname -r` has it. */
  release: string,
): UnmatchedInterface[] {
  if (host === null) return []
  const [services, { credentials }] = [[...named.services], named]
  const hasPrerouting = services.some(({ hook }) => hook === 'prerouting')
  return [
    ...services.flatMap(({ name: service, interfaces }) =>
      problemsOf(interfaces, host).map(({ what, advice }) => {
        const message = `service ${service} filters only packets that arrive by ${interfaces.join(', ')}, and ${what}: by other interfaces its port is open`
        return { service, message, advice }
      }),
    ),
    ...credentials
      .filter(({ enabled }) => enabled)
      .flatMap(({ name: credential, interfaces }) =>
        problemsOf(interfaces, host).map(({ what, advice }) => {
          const message = `knocks of credential ${credential} count only by ${interfaces.join(', ')}, and ${what}`
          return { credential, message, advice }
        }),
      ),
    ...(hasPrerouting ? unseenSteps(credentials, host) : []),
    ...(hasPrerouting && isBeforeVrfLookup(release) ? uncountedSteps(credentials, host) : []),
  ]
}

/** Whether interfaces are named, and none of them is there. */
export const hasNone = (names: readonly string[], host: readonly HostInterface[]): boolean =>
  names.length > 0 && !host.some(one => names.some(name => matchesInterface(name, one.name)))

/** On the hook prerouting, steps are seen only by the link of a VRF: for the VRF itself they pass a second time. */
function unseenSteps(credentials: Config['credentials'], host: readonly HostInterface[]): UnmatchedInterface[] {
  return credentials.flatMap(({ name: credential, enabled, type, interfaces }) => {
    if (!enabled || !isStepsType(type)) return []
    const isNamed = (name: string) => interfaces.some(other => matchesInterface(other, name))
    const link = host.find(
      ({ name, master }) => !isNamed(name) && host.some(one => one.name === master && one.isVrf && isNamed(one.name)),
    )
    if (!link) return []
    const message = `knocks of credential ${credential} do not count by ${link.name}, a link of the VRF ${link.master}, because a service has hook: prerouting`
    return [{ credential, message, advice: `name ${link.master} and ${link.name}` }]
  })
}

/** Whether `fib daddr type` of the kernel does not look into the table of a VRF: see src/nft/table/incoming-interface.ts. */
function isBeforeVrfLookup(release: string): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(release) ?? []
  return major !== undefined && (Number(major) < 6 || (Number(major) === 6 && Number(minor) < 16))
}

/** On the hook prerouting of such a kernel, steps by a link of a VRF count only to addresses of this link. */
function uncountedSteps(credentials: Config['credentials'], host: readonly HostInterface[]): UnmatchedInterface[] {
  const vrfs = new Set(host.flatMap(({ name, isVrf }) => (isVrf ? [name] : [])))
  const links = host.filter(({ master }) => master !== null && vrfs.has(master))
  return credentials.flatMap(({ name: credential, enabled, type, interfaces }) => {
    if (!enabled || !isStepsType(type)) return []
    const link = links.find(
      ({ name }) => interfaces.length === 0 || interfaces.some(other => matchesInterface(other, name)),
    )
    if (!link) return []
    const message = `knocks of credential ${credential} by ${link.name}, a link of the VRF ${link.master}, count only to addresses of ${link.name}, because a service has hook: prerouting and Linux is older than 6.16`
    return [{ credential, message, advice: `knock at addresses of ${link.name}, or use hook: input` }]
  })
}

const stepTypes: ReadonlySet<string> = new Set<StepsCredential['type']>(['sequence', 'one-time', 'rotating'])

/** Whether credentials of this type are knocked by several packets. */
export const isStepsType = (type: string): boolean => stepTypes.has(type)

function problemsOf(names: readonly string[], host: readonly HostInterface[]): { what: string; advice: string }[] {
  return names.flatMap(name => {
    const found = host.filter(one => matchesInterface(name, one.name))
    if (found.length === 0) {
      const there = host.map(one => one.name).filter(one => one !== 'lo')
      return [{ what: `there is no interface ${name} now`, advice: `there is ${there.join(', ') || 'none'}` }]
    }
    const inside = found.find(({ master }) => master !== null && !names.some(other => matchesInterface(other, master)))
    if (!inside) return []
    const { master } = inside
    return [
      {
        what: `${inside.name} belongs to ${master}, by which its packets come in`,
        advice: `name ${master}; for a VRF, name ${master} and ${inside.name}`,
      },
    ]
  })
}
