/** Grants by command: which are there, and what a change makes of them. */
import type { IpFamily } from '../../net/index.js'
import { bitsOf, familyOf, isLinkLocal, maskAddress, onlyLink, splitPrefix } from '../../net/index.js'
import { nearest } from '../../util/index.js'
import { FirewallError } from '../nft-errors.js'
import type { Command } from '../nft-json.js'
import type { Nft } from '../nft.js'
import { readInterfaces } from '../table/incoming-interface.js'
import type { GrantSpec, ServiceGrant } from '../table/grant-elements.js'
import { addGrant, deleteGrant, withdrawGrant } from '../table/grant-elements.js'
import { parseGrantComment } from '../table/grant-comment.js'
import { decodeSpec } from '../table/service-comment.js'
import { setOf } from '../table/service-sets.js'
import type { ServiceSpec } from '../table/service-spec.js'
import { serviceChain, grantPrefix } from '../table/service-spec.js'
import { hasElement, readElement } from './read-element.js'
import type { ServiceState } from './service-state.js'

const nothing = { commands: [], details: [] }

/** A change of one grant: its transaction, in words and commands; no commands when there is nothing to do. */
interface GrantChange {
  readonly commands: readonly Command[]
  readonly details: readonly string[]
}

/** What an address had before, and has besides. Seconds that are left; null without a time limit, and absent where there is none. */
export interface EarlierGrants {
  /** By hand; the new grant is in its place. */
  readonly secondsBefore?: number | null
  /** By knock; it runs on. */
  readonly secondsByKnock?: number | null
}

/**
 * Grants an address, for `seconds` or without a time limit, in place of a grant by hand that is there. With `keepLonger`, one
 * that ends later stays.
 */
export async function planAddedGrant(
  nft: Nft,
  { service, version, address: written, seconds, keepLonger = false, comment }: AddedGrant,
): Promise<GrantChange & EarlierGrants> {
  const { interfaces, ...spec } = await requireService(nft, service)
  const address = addressOf(spec, version, written)
  refuseLinkLocal(service, address, interfaces)
  const source = maskAddress(address, grantPrefix(spec, version))
  const existing = await grantIn(nft, setOf(service, 'add', version), source)
  const wanted = seconds ?? Infinity
  const byKnock = seconds === null ? undefined : await grantIn(nft, setOf(service, 'knock', version), source)
  const earlier = {
    ...(existing ? { secondsBefore: orNull(existing.left) } : {}),
    ...(byKnock ? { secondsByKnock: orNull(byKnock.left) } : {}),
  }
  // A note is worth a change of its own; that another user grants the same again is not.
  const note = parseGrantComment(comment)?.note
  const saysMore = note !== undefined && note !== parseGrantComment(existing?.said.comment)?.note
  const isThere = existing?.left === Infinity && seconds === null && !saysMore
  if (isThere || (existing && keepLonger && existing.left > wanted)) return { ...nothing, ...earlier }
  const verb = !existing ? 'granted' : existing.left > wanted ? 'shortened' : 'extended'
  // A knock says nothing of itself: a grant by command that it extends stays known as that.
  const said = comment ?? (keepLonger ? existing?.said.comment : undefined)
  return { commands: addGrant(spec, version, source, seconds, said), details: [`${source} ${verb}`], ...earlier }
}

interface AddedGrant {
  readonly service: string
  readonly version: IpFamily
  /** Or the prefix that the service grants with it. */
  readonly address: string
  /** null: without a time limit. */
  readonly seconds: number | null
  readonly keepLonger?: boolean
  /** For its element: see grant-comment.ts. */
  readonly comment?: string | undefined
}

/** The address of what is an address, or a prefix as long as the service grants them. */
function addressOf(spec: GrantSpec, version: IpFamily, source: string): string {
  const { address, length } = splitPrefix(source)
  const granted = grantPrefix(spec, version)
  if (!source.includes('/') || length === granted) return address
  const ip = `IPv${version}`
  const grants = granted === bitsOf(version) ? `single ${ip} addresses` : `${ip} prefixes of ${granted} bits`
  throw new FirewallError(
    'prefix',
    `service ${spec.name} grants only ${grants}, not a prefix of ${length} bits`,
    `the option prefix${version} of the service says which, and allow has prefixes that always have access`,
  )
}

const orNull = (left: number) => (left === Infinity ? null : left)

export async function planDeletedGrant(
  nft: Nft,
  service: string,
  version: IpFamily,
  address: string,
): Promise<GrantChange> {
  const spec = await requireService(nft, service)
  const source = maskAddress(addressOf(spec, version, address), grantPrefix(spec, version))
  const byKnock = await hasElement(nft, setOf(service, 'knock', version), source)
  const byHand = await hasElement(nft, setOf(service, 'add', version), source)
  if (!byKnock && !byHand) return nothing
  return { commands: deleteGrant(spec, version, source), details: [`${source} deleted`] }
}

/** Whose grants a knock takes back: those of the kernel's packet path, and those by hand that a knock has made. */
interface ClosedGrant {
  readonly service: string
  readonly version: IpFamily
  readonly address: string
  /** How long a grant by hand of this prefix can run that a knock has made; undefined where none has made one. */
  readonly secondsByKnock: (prefix: string) => number | undefined
  /** Whether a knock has opened to this prefix since, so that what the kernel has of it is not what is to be closed. */
  readonly isOpenedAgain?: ((prefix: string) => boolean) | undefined
}

/** What a knock that closes finds besides. */
export interface ClosedBesides {
  /** A grant of a command stays, though a knock may have made it longer. */
  readonly leavesByCommand?: boolean
}

/**
 * Revokes what knocks have given the address. A grant by hand that runs longer than those is another one, and stays; so does
 * one that says who has made it, which no knock's does.
 */
export async function planClosedGrant(
  nft: Nft,
  { service, version, address, secondsByKnock, isOpenedAgain }: ClosedGrant,
): Promise<GrantChange & ClosedBesides> {
  const spec = await requireService(nft, service)
  const source = maskAddress(address, grantPrefix(spec, version))
  const prefix = `${source}/${grantPrefix(spec, version)}`
  const closed: ServiceGrant[] = []
  const grant = { service, source, secondsLeft: null }
  const byKnock = await hasElement(nft, setOf(service, 'knock', version), source)
  if (byKnock && isOpenedAgain?.(prefix) !== true) closed.push({ ...grant, by: 'knock' })
  const seconds = secondsByKnock(prefix)
  const byHand = seconds === undefined ? undefined : await grantIn(nft, setOf(service, 'add', version), source)
  const isByCommand = parseGrantComment(byHand?.said.comment) !== undefined
  if (byHand && !isByCommand && byHand.left <= (seconds ?? 0)) closed.push({ ...grant, by: 'hand' })
  const besides = isByCommand ? { leavesByCommand: true } : {}
  if (closed.length === 0) return { ...nothing, ...besides }
  return { commands: closed.flatMap(withdrawGrant), details: [`${source} deleted`], ...besides }
}

/**
 * How long a grant for the address will run once the service is as `spec` says, by knock or by hand: Infinity without
 * end, and 0 where there is none. `now` is the service as it is.
 */
export async function secondsGranted(
  nft: Nft,
  spec: GrantSpec,
  version: IpFamily,
  address: string,
  now: GrantSpec,
): Promise<number> {
  const source = maskAddress(address, grantPrefix(now, version))
  const length = grantPrefix(spec, version)
  if (maskAddress(source, length) !== maskAddress(address, length)) return 0
  let longest = 0
  for (const role of ['knock', 'add'] as const) {
    const grant = await grantIn(nft, setOf(spec.name, role, version), source)
    // One that is in its last second still runs.
    if (grant) longest = Math.max(longest, grant.left, 1)
  }
  return longest
}

/** The grants by hand in whose place these would come. */
export async function grantsReplacedBy(
  nft: Nft,
  grants: readonly ServiceGrant[],
  services: ReadonlyMap<string, ServiceState>,
): Promise<readonly ServiceGrant[]> {
  const specs = new Map([...services].map(([name, { spec }]) => [name, spec]))
  const replaced: ServiceGrant[] = []
  for (const grant of maskedGrants(grants, specs)) {
    const existing = await grantIn(nft, setOf(grant.service, 'add', familyOf(grant.source)), grant.source)
    if (existing) {
      const { comment: _, ...same } = grant
      replaced.push({ ...same, ...existing.said, secondsLeft: orNull(existing.left) })
    }
  }
  return replaced
}

/** The grants of services that there will be, with their sources as those services keep them. */
export function maskedGrants(
  grants: readonly ServiceGrant[],
  services: ReadonlyMap<string, ServiceSpec>,
): ServiceGrant[] {
  return grants.flatMap(grant => {
    const spec = services.get(grant.service)
    if (!spec) return []
    const { version, address } = splitPrefix(grant.source)
    return [{ ...grant, source: maskAddress(address, grantPrefix(spec, version)) }]
  })
}

/** Those that may be made again: not of single use, for one may be used up before it is there again. */
export const repeatableGrants = (services: ReadonlyMap<string, ServiceState>): ServiceGrant[] =>
  [...services].flatMap(([service, { spec, grants }]) =>
    spec.singleUse ? [] : grants.map(grant => ({ service, ...grant })),
  )

/** What to do about a service that is not among `names`. */
export function noServiceHint(service: string, names: readonly string[]): string {
  const meant = nearest(service, names)
  return meant === undefined ? `pkctl init ${service} --port PORT makes it` : `did you mean '${meant}'?`
}

/** On each link another machine can have the address; only a service on one link means one of them. */
export function refuseLinkLocal(
  service: string,
  address: string,
  interfaces: readonly string[],
  vrfs?: () => ReadonlySet<string>,
): void {
  if (!isLinkLocal(address) || onlyLink(interfaces, vrfs) !== undefined) return
  const message = `${address} is link-local and can be a different machine on each link; service ${service} must name one interface, which is not a VRF`
  throw new FirewallError(
    'link-local',
    message,
    'give the service one interface, or use a global address of the machine',
  )
}

/** What a grant needs to know of its service. Reads chains and rules only: quick, however many services there are. */
async function requireService(nft: Nft, service: string): Promise<GrantSpec & Pick<ServiceSpec, 'interfaces'>> {
  const { chains } = await nft.list({ elements: false })
  const rules = chains.get(serviceChain(service))?.rules ?? []
  const kept = decodeSpec(rules.at(-1)?.comment)
  if (kept) return { name: service, prefix4: kept.prefix4, prefix6: kept.prefix6, interfaces: readInterfaces(rules) }
  const names = [...chains].flatMap(([chain, { rules }]) =>
    chain.startsWith(serviceChain('')) && decodeSpec(rules.at(-1)?.comment)
      ? [chain.slice(serviceChain('').length)]
      : [],
  )
  throw new FirewallError('no-service', `there is no service ${service}`, noServiceHint(service, names))
}

/** The grant of a source in a set, with the seconds that are left of it. */
async function grantIn(
  nft: Nft,
  set: string,
  source: string,
): Promise<{ left: number; said: { comment?: string } } | undefined> {
  const element = await readElement(nft, set, source)
  if (!element) return undefined
  const { timeout, expires, comment } = element
  const said = comment === undefined ? {} : { comment }
  return { left: timeout === undefined ? Infinity : (expires ?? timeout), said }
}
