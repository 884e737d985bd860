/** What the checks of foreign rules have in common: their base chains, and the packets that are followed through them. */
import { prefixContains } from '../../net/index.js'
import type { RuleChain } from '../../nft/foreign/index.js'
import type { ServiceSpec } from '../../nft/index.js'
import type { KernelFacts } from '../facts.js'
import { protocolName, protocolsOf } from './descriptions.js'
import type { Passage, Probe, Reach, RuleOnWay } from './simulate-packet.js'
import { larger, passageThrough } from './simulate-packet.js'

/** What is known of the ruleset and of the way into the machine. */
export type Surroundings = Pick<KernelFacts, 'chains' | 'addresses' | 'interfaces'>

export const baseChains = (chains: readonly RuleChain[], ...hooks: readonly string[]) =>
  chains.filter(({ base }) => base && hooks.includes(base.hook))

/** The first and the last port of each range stand for all. */
export function probesOf(spec: ServiceSpec): Probe[] {
  const ports = [...new Set(spec.ports.flatMap(({ first, last }) => [first, last]))]
  return protocolsOf(spec).flatMap(protocol => ports.map(port => ({ protocol, port })))
}

export const probeText = ({ port, protocol }: Probe) => `${port ?? 'any port'}/${protocolName(protocol)}`

/** The packet as it comes in by each interface; those of bridges and containers carry nothing from outside. */
export function arrivals(probe: Probe, { interfaces }: Surroundings): Probe[] {
  const outer = interfaces.filter(name => !/^(lo$|docker|br-|veth|virbr|cni|cali|flannel|podman|lxc|kube-)/.test(name))
  return outer.length === 0 ? [probe] : outer.map(name => ({ ...probe, interface: name }))
}

const follow = (chain: RuleChain, probe: Probe, { chains, addresses }: Surroundings) =>
  passageThrough(chain, chains, probe, addresses)

/** Who passes a base chain. */
const passes = ({ accepts, falls }: Passage, { base }: RuleChain): Reach =>
  base?.policy === 'drop' ? accepts : larger(accepts, falls)

/** How packets of one sort fare in a base chain, however they come in. */
interface Treatment {
  readonly passes: Reach
  readonly dropsByPort: Passage['dropsByPort']
  /** The interfaces by which they pass, where they do not by all. */
  readonly only: readonly string[]
}

export function treatmentBy(chain: RuleChain, probes: readonly Probe[], around: Surroundings): Treatment {
  const each = probes.map(probe => {
    const passage = follow(chain, probe, around)
    return { probe, drops: passage.dropsByPort, passes: passes(passage, chain) }
  })
  const open = each.filter(one => one.passes !== 'nobody')
  const isForAll = each.every(one => one.passes === 'everyone')
  const drops = each.map(one => one.drops)
  return {
    passes: isForAll ? 'everyone' : open.length > 0 ? 'some' : 'nobody',
    dropsByPort: drops.every(how => how === 'all') ? 'all' : drops.some(how => how !== null) ? 'some' : null,
    only: open.length < each.length ? open.flatMap(({ probe }) => probe.interface ?? []) : [],
  }
}

/** A step of address translation on the way of a packet to this port. */
interface Translation {
  /** The port afterwards, null = as before; it is one of this machine if `isHere`. */
  readonly port: number | null
  readonly isHere: boolean
  readonly sure: boolean
}

/** What address translation of a chain does to the packet: by a rule for its port, or for all that comes. */
export function translationsOf(chain: RuleChain, probe: Probe, around: Surroundings): Translation[] {
  return follow(chain, probe, around).reached.flatMap(({ rule, named, sure }: RuleOnWay) =>
    rule.actions.flatMap(action => {
      if (action.kind !== 'dnat' && action.kind !== 'redirect') return []
      const { kind, port } = action
      if (!named && !sure && (kind === 'redirect' || port !== probe.port)) return []
      return [{ port, isHere: kind === 'redirect' || isOwn(action.address, around.addresses), sure }]
    }),
  )
}

const isOwn = (address: string | null, addresses: readonly string[]) =>
  address !== null && (addresses.includes(address) || prefixContains('127.0.0.0/8', address))

/** Where chains look at what address translation has left of the packet. */
const translationPriority = -100

/**
 * The packets of a service that come to a base chain. What is led to another machine does not come to the hook input; a
 * service there that is asked for before it, is on the hook prerouting.
 */
export function packetsAt(chain: RuleChain, spec: ServiceSpec, probe: Probe, around: Surroundings): Probe[] {
  const { hook, priority } = chain.base ?? { hook: 'input', priority: 0 }
  if (hook === 'prerouting' && priority <= translationPriority) return [probe]
  const steps = baseChains(around.chains, 'prerouting')
    .filter(({ base }) => base?.nat)
    .flatMap(nat => translationsOf(nat, probe, around))
  const stays = steps.length === 0 || (spec.hook === 'input' && !steps.some(({ sure }) => sure))
  return [
    ...(stays ? [probe] : []),
    ...steps
      .filter(({ isHere }) => isHere)
      .map(({ port }) => ({ ...probe, port: port ?? probe.port, translated: true })),
  ]
}
