/** What the checks of foreign rules have in common: their base chains, and the packets that are followed through them. */
import type { RuleChain } from '../../nft/foreign/index.js'
import type { ServiceSpec } from '../../nft/index.js'
import { protocolName, protocolsOf } from './descriptions.js'
import type { Passage, Probe } from './simulate-packet.js'

export const baseChains = (chains: readonly RuleChain[], ...hooks: readonly string[]) =>
  chains.filter(({ base }) => base && hooks.includes(base.hook))

/** The first and the last port of each range stand for all. */
export function probesOf(spec: ServiceSpec): Probe[] {
  const ports = [...new Set(spec.ports.flatMap(({ first, last }) => [first, last]))]
  return protocolsOf(spec).flatMap(protocol => ports.map(port => ({ protocol, port })))
}

export const probeText = ({ port, protocol }: Probe) => `${port ?? 'any port'}/${protocolName(protocol)}`

/** Whether no packet of this sort passes the chain. */
export const closes = ({ accepts, falls, dropsAll }: Passage, { base }: RuleChain) =>
  !accepts && ((falls && base?.policy === 'drop') || (!falls && dropsAll))
