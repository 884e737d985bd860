/** The packet path's part of a transaction, and the probe for what the kernel can do. */
import { NftError } from '../nft-errors.js'
import type { Command, Hook } from '../nft-json.js'
import { addBaseChain, addRule, addTable } from '../nft-json.js'
import type { Listing } from '../listing.js'
import type { Nft } from '../nft.js'
import type { PacketPathSpec } from '../table/packet-path-spec.js'
import { buildPacketPath } from '../table/install-packet-path.js'
import { buildTable } from '../table/rebuild.js'
import type { ServiceSpec } from '../table/service-spec.js'
import { hooksOf } from '../table/service-spec.js'
import { maskedGrants, repeatableGrants } from './grant-changes.js'
import { readServices } from './service-state.js'

/** The parts of a transaction that come before and after the packet path. */
interface OtherParts {
  readonly services: readonly Command[]
  readonly grants: readonly Command[]
  readonly details: readonly string[]
}

/**
 * The transaction with the packet path, which the kernel has said that it would take: in place, or, where something
 * refers to chains that have to go, the whole table. `services` are those that there will be.
 */
export async function withPacketPath(
  nft: Nft,
  packetPath: PacketPathSpec,
  services: ReadonlyMap<string, ServiceSpec>,
  listing: Listing,
  parts: OtherParts,
): Promise<{ commands: readonly Command[]; details: readonly string[] }> {
  const inPlace = [...parts.services, ...buildPacketPath(packetPath, listing, hooksOf(services)), ...parts.grants]
  try {
    await nft.check(inPlace)
    return { commands: inPlace, details: parts.details }
  } catch (error) {
    if (!(error instanceof NftError) || error.kind !== 'busy') throw error
  }
  // A rule of others leads into our chains, or the kernel lost count of what does (6.1 up to 6.1.0-50 on Debian).
  const running = maskedGrants(repeatableGrants(readServices(await nft.list())), services)
  const rebuilt = [...buildTable(services, packetPath, running), ...parts.grants]
  await nft.check(rebuilt)
  const detail =
    'chains of the table inet pkctl were in use, so pkctl rebuilt the table, with all grants but those of single use'
  return { commands: rebuilt, details: [...parts.details, detail] }
}

/** Whether the kernel has nft's `queue` statement. NftError when nothing can be done here at all. */
export async function hasQueueStatement(nft: Nft, hook: Hook): Promise<boolean> {
  const base = [addTable(), addBaseChain('probe', hook, 0)]
  const queue = addRule('probe', [{ queue: { num: 0, flags: ['bypass'] } }])
  try {
    await nft.check([...base, queue])
    return true
  } catch (error) {
    if (!(error instanceof NftError) || (error.kind !== 'not-found' && error.kind !== 'unsupported')) throw error
  }
  await nft.check(base)
  return false
}
