/** What `pkctl add --fleet` and `pkctl delete --fleet` have in common: the daemon makes the change here, and tells the other servers. */
import { askOrExplain } from '../../daemon/control-client.js'
import type { Message } from '../../daemon/requests.js'
import type { FleetTold } from '../../fleet/index.js'
import type { FirewallResult } from '../../nft/index.js'
import { oneLine, UserError } from '../../util/index.js'
import { whoAsks } from './who-asks.js'

export type FleetResult<T extends FirewallResult> = T & { readonly fleet?: FleetTold }

export const changeFleet = async <T extends FirewallResult>(socket: string, message: Message) =>
  (await askOrExplain(socket, { ...message, fleet: true, by: await whoAsks() })) as FleetResult<T>

/** Of one change; absent without --fleet. */
export const fleetJson = (fleet: FleetTold | undefined) => (fleet ? { fleet } : {})

/** What follows the sentence. */
export const fleetText = (fleet: FleetTold | undefined): string =>
  fleet?.told ? `; the fleet ${fleet.group} was told` : ''

/** The command has done a part of its work. */
export function throwUntold(fleet: FleetTold | undefined): void {
  if (!fleet || fleet.told) return
  const because = `the engine of the fleet ${fleet.group} is away: ${oneLine(fleet.because)}`
  throw new UserError(`this is so here alone, and the other servers hear of it later: ${because}`)
}
