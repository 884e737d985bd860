/** Foreign address translation that leads packets past a service. */
import type { RuleChain } from '../../nft/foreign/index.js'
import type { ServiceSpec } from '../../nft/index.js'
import type { KernelFacts } from '../facts.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'
import { chainText, listed, protocolsOf } from './descriptions.js'
import type { Surroundings } from './foreign-chains.js'
import { arrivals, baseChains, probesOf, probeText, translationsOf } from './foreign-chains.js'
import type { Probe } from './simulate-packet.js'

/** Address translation comes before the input hook, and after pkctl's chains on prerouting. */
export function publishedPast(spec: ServiceSpec, specs: readonly ServiceSpec[], kernel: KernelFacts): Finding[] {
  return baseChains(kernel.chains, 'prerouting')
    .filter(({ base }) => base?.nat)
    .flatMap(chain =>
      spec.hook === 'input' ? pastInput(spec, specs, chain, kernel) : pastPrerouting(spec, specs, chain, kernel),
    )
}

const translations = (chain: RuleChain, probe: Probe, around: Surroundings) =>
  arrivals(probe, around).flatMap(one => translationsOf(chain, one, around))

function pastInput(spec: ServiceSpec, specs: readonly ServiceSpec[], chain: RuleChain, kernel: KernelFacts): Finding[] {
  const around = probesOf(spec).filter(probe =>
    translations(chain, probe, kernel).some(({ port, isHere }) => !isHere || !guards(specs, 'input', probe, port)),
  )
  if (around.length === 0) return []
  return [
    finding(
      'published-past-input',
      `${chainText(chain, kernel.chains)} sends ${listed(around.map(probeText))} elsewhere, as for a container, before service ${spec.name} filters it: it may be open to everyone`,
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
  kernel: KernelFacts,
): Finding[] {
  const table = kernel.chains.filter(({ family, table }) => family === chain.family && table === chain.table)
  const leading = protocolsOf(spec).flatMap(protocol =>
    portsNamed(table)
      .map(port => ({ protocol, port }))
      .filter(probe => !guards(specs, 'prerouting', probe, probe.port))
      .flatMap(probe =>
        translations(chain, probe, kernel).flatMap(({ port, isHere }) =>
          isHere && port !== null && guards([spec], 'prerouting', probe, port) ? [{ from: probe.port, to: port }] : [],
        ),
      ),
  )
  return leading
    .slice(0, 1)
    .map(({ from, to }) =>
      finding(
        'redirected-past-prerouting',
        `${chainText(chain, kernel.chains)} turns port ${from} into port ${to}, which service ${spec.name} protects before that: through port ${from} it may be open to every source`,
        `add port ${from} to the service, or let it filter on 'hook: input'`,
        { service: spec.name, table: `${chain.family} ${chain.table}` },
      ),
    )
}

/** The first ports of all ranges for which chains have rules. */
function portsNamed(chains: readonly RuleChain[]): number[] {
  const ranges = chains.flatMap(({ rules }) =>
    rules.flatMap(({ conditions }) =>
      conditions.flatMap(condition => (condition.kind === 'port' && !condition.not ? condition.ranges : [])),
    ),
  )
  return [...new Set(ranges.map(({ first }) => first))]
}
