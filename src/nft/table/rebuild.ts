/** The table as a whole, in place of whatever goes by its name: for when what is there cannot be changed in part. */
import type { Command } from '../json.js'
import { addTable, deleteTable } from '../json.js'
import { emptyListing } from '../listing.js'
import { sayAlive } from './alive.js'
import type { GivenGrant } from './grant-elements.js'
import { giveGrant } from './grant-elements.js'
import type { Queueing } from './packet-path.js'
import { buildQueueing } from './packet-path.js'
import { buildServices } from './service-changes.js'
import type { ServiceSpec } from './service-spec.js'

/** One transaction of a daemon's: no packet meets the table without its services, nor those with fail-open open. */
export function buildAnew(
  services: ReadonlyMap<string, ServiceSpec>,
  queueing: Queueing,
  grants: readonly GivenGrant[] = [],
): Command[] {
  const nothing = emptyListing()
  return [
    // There may be none to delete.
    addTable(),
    deleteTable(),
    addTable(),
    ...buildServices([...services.values()], nothing),
    ...buildQueueing(queueing, nothing),
    ...([...services.values()].some(({ failOpen }) => failOpen) ? sayAlive() : []),
    ...grants.map(giveGrant),
  ]
}
