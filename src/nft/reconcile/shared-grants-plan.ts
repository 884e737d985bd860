/** Grants that other servers of a fleet have made, in the sets of those by hand: their comments say which server it was. */
import { bitsOf, maskAddress, splitPrefix } from '../../net/index.js'
import type { ListedElement, Listing } from '../listing.js'
import { asText } from '../listing.js'
import type { Command } from '../nft-json.js'
import type { Nft } from '../nft.js'
import { parseGrantComment } from '../table/grant-comment.js'
import type { ServiceGrant } from '../table/grant-elements.js'
import { replaceGrant, withdrawGrant } from '../table/grant-elements.js'
import { decodeSpec } from '../table/service-comment.js'
import { setOf } from '../table/service-sets.js'
import type { ServiceSpec } from '../table/service-spec.js'
import { grantPrefix, serviceChain } from '../table/service-spec.js'
import { readElement } from './read-element.js'

/** What a source is to have of a service. */
export interface SharedChange {
  readonly service: string
  /** An address, or the prefix that the service grants. */
  readonly source: string
  readonly grant?: { readonly seconds: number; readonly comment: string }
  /** What knocks have given it here and elsewhere, and what hands have. */
  readonly revokes: readonly ('knock' | 'hand')[]
  /** A knock has made the grant by hand that it has here. */
  readonly isByKnock?: boolean
}

/** Beyond so many, one listing of everything is quicker than a question about each. */
const mostQuestions = 2

type Kept = Pick<ServiceSpec, 'prefix4' | 'prefix6' | 'singleUse'>

/** The transaction: without services that are not here, and without what the kernel has already. */
export async function planSharedGrants(nft: Nft, changes: readonly SharedChange[]): Promise<Command[]> {
  const listing = await nft.list({ elements: changes.length > mostQuestions })
  const elements = changes.length > mostQuestions ? elementsByPlace(listing) : undefined
  const commands: Command[] = []
  for (const change of changes) {
    const spec = keptSpec(listing, change.service)
    if (!spec || spec.singleUse) continue
    const { version, address, length } = splitPrefix(change.source)
    const granted = grantPrefix(spec, version)
    // One that is narrower or wider is not what this server grants.
    if (length !== bitsOf(version) && length !== granted) continue
    const source = maskAddress(address, granted)
    const set = setOf(change.service, 'add', version)
    const existing = elements ? elements.get(`${set} ${source}`) : await readElement(nft, set, source)
    commands.push(...commandsFor(change, source, existing))
  }
  return commands
}

function commandsFor(change: SharedChange, source: string, existing: ListedElement | undefined): Command[] {
  const { service, grant, revokes, isByKnock = false } = change
  const revokesKnock = revokes.includes('knock')
  const byHand: ServiceGrant = { service, source, by: 'hand', secondsLeft: null }
  const isOfFleet = parseGrantComment(existing?.comment)?.node !== undefined
  const commands: Command[] = []
  if (revokesKnock) commands.push(...withdrawGrant({ ...byHand, by: 'knock' }))
  if (!grant) {
    const isRevoked = revokes.includes('hand') || (revokesKnock && (isOfFleet || isByKnock))
    return existing && isRevoked ? [...commands, ...withdrawGrant(byHand)] : commands
  }
  const left = existing && (existing.timeout === undefined ? Infinity : (existing.expires ?? existing.timeout))
  const isLonger = left !== undefined && left >= grant.seconds && !revokes.includes('hand')
  const isSame = left !== undefined && isOfFleet && left === grant.seconds
  // A grant by hand that was made here and runs longer is not cut short.
  if ((isLonger && !isOfFleet) || isSame) return commands
  return [...commands, ...replaceGrant({ ...byHand, secondsLeft: grant.seconds, comment: grant.comment })]
}

function keptSpec({ chains }: Listing, service: string): Kept | undefined {
  return decodeSpec(chains.get(serviceChain(service))?.rules.at(-1)?.comment)
}

function elementsByPlace({ sets }: Listing): Map<string, ListedElement> {
  const found = new Map<string, ListedElement>()
  for (const { name, elements } of sets.values()) {
    if (!/\.add-[46]$/.test(name)) continue
    for (const element of elements) found.set(`${name} ${asText(element.value)}`, element)
  }
  return found
}
