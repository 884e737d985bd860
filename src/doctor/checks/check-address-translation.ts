/** Foreign address translation that leads packets past a service. */
import type { RuleChain } from '../../nft/foreign/index.js'
import type { ServiceSpec } from '../../nft/index.js'
import type { KernelFacts } from '../facts.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'
import { chainText, listed, protocolsOf } from './descriptions.js'
import { baseChains, probesOf, probeText } from './foreign-chains.js'
import type { Probe } from './simulate-packet.js'
import { passageThrough } from './simulate-packet.js'

/** Address translation comes before the input hook, and after pkctl's chains on prerouting. */
export function publishedPast(spec: ServiceSpec, specs: readonly ServiceSpec[], { chains }: KernelFacts): Finding[] {
  return baseChains(chains, 'prerouting')
    .filter(({ base }) => base?.nat)
    .flatMap(chain =>
      spec.hook === 'input' ? pastInput(spec, specs, chain, chains) : pastPrerouting(spec, specs, chain, chains),
    )
}

function pastInput(
  spec: ServiceSpec,
  specs: readonly ServiceSpec[],
  chain: RuleChain,
  chains: readonly RuleChain[],
): Finding[] {
  const around = probesOf(spec).filter(probe =>
    passageThrough(chain, chains, probe).reached.some(({ conditions, actions }) => {
      const aimed =
        conditions.some(({ kind }) => kind === 'port') ||
        actions.some(action => action.kind === 'dnat' && action.port === probe.port)
      return (
        aimed &&
        actions.some(
          action =>
            action.kind === 'dnat' || (action.kind === 'redirect' && !guards(specs, 'input', probe, action.port)),
        )
      )
    }),
  )
  if (around.length === 0) return []
  return [
    finding(
      'published-past-input',
      `${chainText(chain, chains)} sends ${listed(around.map(probeText))} elsewhere, as for a container, before service ${spec.name} looks at it: it may be open to everyone`,
      `let the service filter before that: 'hook: prerouting' in the configuration, or pkctl init ${spec.name} --hook prerouting`,
      { service: spec.name, table: `${chain.family} ${chain.table}` },
    ),
  ]
}

const guards = (specs: readonly ServiceSpec[], hook: ServiceSpec['hook'], { protocol }: Probe, port: number | null) =>
  port === null ||
  specs.some(
    spec =>
      spec.hook === hook &&
      protocolsOf(spec).includes(protocol) &&
      spec.ports.some(({ first, last }) => first <= port && port <= last),
  )

function pastPrerouting(
  spec: ServiceSpec,
  specs: readonly ServiceSpec[],
  chain: RuleChain,
  chains: readonly RuleChain[],
): Finding[] {
  const table = chains.filter(({ family, table }) => family === chain.family && table === chain.table)
  const leading = table.flatMap(({ rules }) =>
    rules.flatMap(({ conditions, actions }) => {
      const [target] = actions.flatMap(action => (action.kind === 'redirect' ? [action.port] : []))
      const protocol = protocolsOf(spec)[0] ?? 6
      if (target === undefined || target === null || !guards([spec], 'prerouting', { protocol, port: target }, target))
        return []
      const from = conditions.flatMap(condition =>
        condition.kind === 'port' && !condition.not ? condition.ranges : [],
      )
      return from
        .filter(({ first }) => !guards(specs, 'prerouting', { protocol, port: first }, first))
        .map(({ first }) => ({ first, target }))
    }),
  )
  return leading
    .slice(0, 1)
    .map(({ first, target }) =>
      finding(
        'redirected-past-prerouting',
        `${chainText(chain, chains)} turns port ${first} into port ${target}, which service ${spec.name} protects before that: through port ${first} it may be open to every source`,
        `add port ${first} to the service, or let it filter on 'hook: input'`,
        { service: spec.name, table: `${chain.family} ${chain.table}` },
      ),
    )
}
