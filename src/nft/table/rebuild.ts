/** The table as a whole, in place of any table of its name: for when what is there cannot be changed in part. */
import type { Command } from '../nft-json.js'
import { addTable, deleteTable } from '../nft-json.js'
import { emptyListing } from '../listing.js'
import { refreshAlive } from './daemon-alive.js'
import type { ServiceGrant } from './grant-elements.js'
import { createGrant } from './grant-elements.js'
import type { PacketPathSpec } from './packet-path-spec.js'
import { buildPacketPath } from './install-packet-path.js'
import { buildServices } from './service-changes.js'
import type { ServiceSpec } from './service-spec.js'
import { hooksOf } from './service-spec.js'

/** In one transaction of the daemon: no packet meets the table without its services, nor those with fail-open open. */
export function buildTable(
  services: ReadonlyMap<string, ServiceSpec>,
  packetPath: PacketPathSpec,
  grants: readonly ServiceGrant[] = [],
): Command[] {
  const nothing = emptyListing()
  return [
    // There may be none to delete.
    addTable(),
    deleteTable(),
    addTable(),
    ...buildServices([...services.values()], nothing),
    ...buildPacketPath(packetPath, nothing, hooksOf(services)),
    ...([...services.values()].some(({ failOpen }) => failOpen) ? refreshAlive() : []),
    ...grants.map(createGrant),
  ]
}
