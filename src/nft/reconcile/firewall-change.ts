/** A change of the firewall as a value, and the services' part of its transaction. */
import { isLinkLocal, onlyLink, splitPrefix } from '../../net/index.js'
import type { Command } from '../nft-json.js'
import type { Listing } from '../listing.js'
import type { ServiceGrant } from '../table/grant-elements.js'
import { remaskGrants, withdrawGrant } from '../table/grant-elements.js'
import type { PacketPathFor } from '../table/packet-path-spec.js'
import { buildServices, removeServices } from '../table/service-changes.js'
import type { ServiceSpec } from '../table/service-spec.js'
import { serviceChain } from '../table/service-spec.js'
import { maskedGrants } from './grant-changes.js'
import { refuseTakenPorts, supersededBy } from './port-conflicts.js'
import { differences } from './service-diff.js'
import type { ServicePlan } from './service-plan.js'
import { prefixesDiffer, servicePlan } from './service-plan.js'
import type { ServiceState } from './service-state.js'
import { readServices, servicesOfEarlierVersion } from './service-state.js'

export interface FirewallChange {
  /** Services that are to be there, exactly so. */
  readonly specs: readonly ServiceSpec[]
  /** Leave a service that exists as it is, whatever its spec. */
  readonly onlyNew?: boolean
  /** Names of services to remove; `others` are all that `specs` does not name. */
  readonly remove?: readonly string[] | 'others'
  /** Remove as well each service that guards nothing but what `specs` guard: it has been renamed. */
  readonly replace?: boolean
  /** Grants to make in place of what is there of them; those that name no service are left out. */
  readonly grants?: readonly ServiceGrant[]
  /** Grants to delete. */
  readonly revoke?: readonly ServiceGrant[]
  /** The packet path for the services that there will be; without it, the packet path stays as it is. */
  readonly packetPathFor?: PacketPathFor
  /** The number that the table must have, for its services to be believed. */
  readonly table?: number
  /** Delete the grants of a table that another program has made. Not while a daemon runs, which restores its own table. */
  readonly takeOver?: boolean
  /**
   * Called with what is about to happen, while nothing else can change the ruleset. It may return further grants to
   * make, or throw to cancel the change.
   */
  readonly prepare?: (plan: ServicePlan) => Promise<readonly ServiceGrant[]>
}

/** The transaction for the services, in words and commands. `listAll` lists the table with all elements. */
export async function planServices(
  change: FirewallChange,
  listing: Listing,
  listAll: () => Promise<Listing>,
): Promise<{ plan: ServicePlan; commands: Command[]; details: string[] }> {
  const existing = readServices(listing)
  const specs = change.onlyNew ? change.specs.filter(({ name }) => !existing.has(name)) : change.specs
  const unwanted = unwantedServices(change, existing, listing)
  const superseded = change.replace ? supersededBy(specs, existing).filter(name => !unwanted.includes(name)) : []
  const removed = [...unwanted, ...superseded]
  refuseTakenPorts(specs, existing, removed)

  const differing = specs.filter(spec => differences(spec, existing.get(spec.name)).length > 0)
  const isNamed = (name: string) => removed.includes(name) || specs.some(spec => spec.name === name)
  const renewed = change.packetPathFor
    ? servicesOfEarlierVersion(existing.values(), listing).filter(({ name }) => !isNamed(name))
    : []
  const remasked = differing.filter(spec => prefixesDiffer(spec, existing.get(spec.name)?.spec))
  const relinked = differing.filter(spec => changesLink(spec, existing.get(spec.name)?.spec))
  const whole = removed.length + remasked.length + relinked.length > 0 ? await listAll() : undefined
  const before = whole ? readServices(whole) : existing
  const plan = servicePlan(specs, removed, before)
  const ofOldLink = relinked.flatMap(({ name }) => linkLocalGrants(name, before.get(name)))
  return {
    plan,
    commands: [
      ...(specs.length > 0 || change.packetPathFor
        ? buildServices([...differing, ...renewed], listing, removed)
        : removeServices(removed, listing)),
      ...(whole ? remasked.flatMap(spec => remaskGrants(spec, whole)) : []),
      ...maskedGrants(ofOldLink, plan.after).flatMap(withdrawGrant),
    ],
    details: [
      ...differing.flatMap(spec => {
        const changes = differences(spec, existing.get(spec.name))
        return changes.map(text => (specs.length > 1 ? `${spec.name}: ${text}` : text))
      }),
      ...ofOldLink.map(
        ({ service, source }) => `${service}: ${source} revoked, because it can be a different machine on each link`,
      ),
      ...unwanted.map(name => `service ${name} removed`),
      ...superseded.map(name => `service ${name} was replaced: other services protect its ports now`),
    ],
  }
}

/** Whether its link-local addresses can name other machines from now on. */
function changesLink({ interfaces }: ServiceSpec, before: ServiceSpec | undefined): boolean {
  if (!before || String(before.interfaces) === String(interfaces)) return false
  const link = onlyLink(interfaces)
  return link === undefined || link !== onlyLink(before.interfaces)
}

const linkLocalGrants = (service: string, state: ServiceState | undefined): ServiceGrant[] =>
  (state?.grants ?? [])
    .filter(({ source }) => isLinkLocal(splitPrefix(source).address))
    .map(grant => ({ service, ...grant }))

/** The services to remove, also those whose rules cannot be read any more. */
function unwantedServices(
  { specs, remove = [] }: FirewallChange,
  existing: ReadonlyMap<string, ServiceState>,
  listing: Listing,
): string[] {
  const isWanted = (name: string) => specs.some(spec => spec.name === name)
  const others = [...existing.keys()].filter(name => !isWanted(name))
  if (remove === 'others') return others
  const unreadable = remove.filter(
    name => !existing.has(name) && !isWanted(name) && listing.chains.has(serviceChain(name)),
  )
  return [...others.filter(name => remove.includes(name)), ...unreadable]
}
