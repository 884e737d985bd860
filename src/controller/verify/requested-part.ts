/** What a packet asks for by the numbers of ports, beside what its credential grants. */
import type { Asked } from '../../knock/index.js'
import type { PortRange } from '../../net/index.js'

/** A service that a credential grants, with its ports. */
export interface GrantedPorts {
  readonly service: string
  readonly protocol: string
  readonly ports: readonly PortRange[]
  readonly seconds: number
}

/** Some of a credential's services, or a time of the packet's own. */
export interface RequestedPart {
  readonly services: readonly string[]
  /** Null for the credential's own time. */
  readonly seconds: number | null
  /** No service is granted for more seconds, and none for less than `atLeast`, which is not more. */
  readonly atMost?: number
  readonly atLeast?: number
}

interface GrantLimits {
  readonly grants: readonly GrantedPorts[]
  readonly revokes: boolean
}

/** `all` where it asks for no less and nothing else than the credential grants; undefined where it asks for another port. */
export function askedPart(
  { grants, revokes }: GrantLimits,
  { ports, seconds }: Asked,
): RequestedPart | 'all' | undefined {
  const asked = new Set<GrantedPorts>()
  for (const { protocol, port } of ports) {
    const granted = grants.find(
      one =>
        (one.protocol === protocol || one.protocol === 'any') &&
        one.ports.some(({ first, last }) => first <= port && port <= last),
    )
    if (!granted) return undefined
    asked.add(granted)
  }
  const isWhole =
    asked.size === grants.length && (seconds === undefined || grants.every(one => one.seconds === seconds))
  // To close needs no part: a knock that closes is for all.
  if (isWhole || revokes) return 'all'
  return { services: [...asked].map(({ service }) => service), seconds: seconds ?? null }
}

/** The same, and no longer than the credential itself counts: for so many seconds, undefined where it does not expire. */
export function partWhileValid(
  { grants, revokes }: GrantLimits,
  part: RequestedPart | 'all',
  secondsValid: number | undefined,
): RequestedPart | 'all' {
  if (secondsValid === undefined || revokes) return part
  const longest = (one: GrantedPorts) => (part === 'all' ? one.seconds : (part.seconds ?? one.seconds))
  if (grants.every(one => longest(one) <= secondsValid)) return part
  const asked = part === 'all' ? { services: grants.map(({ service }) => service), seconds: null } : part
  return { ...asked, atMost: secondsValid }
}

/** Those of `grants` that are asked for, for the time that is asked for. */
export const partOf = <G extends { readonly service: { readonly name: string }; readonly seconds: number }>(
  grants: readonly G[],
  part: RequestedPart | undefined,
): readonly G[] =>
  part === undefined
    ? grants
    : grants
        .filter(({ service }) => part.services.includes(service.name))
        .map(grant => ({ ...grant, seconds: secondsOf(part, grant.seconds) }))

const secondsOf = ({ seconds, atMost = Infinity, atLeast = 0 }: RequestedPart, own: number): number =>
  Math.min(Math.max(seconds ?? own, atLeast), atMost)
