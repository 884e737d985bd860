/** Rules of others that stand in the way of those who are let in, or lead around pkctl. */
import type { Config, Credential } from '../../config/types.js'
import { protocolUdp } from '../../net/protocols.js'
import type { RuleChain } from '../../nft/foreign/rule.js'
import type { ServiceSpec } from '../../nft/table/service-spec.js'
import type { Facts, KernelFacts } from '../facts.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'
import { chainText, listed, ownerOf, protocolName, protocolsOf } from './descriptions.js'
import type { Passage, Probe } from './simulate-packet.js'
import { passageThrough } from './simulate-packet.js'

/** Where pkctl's gate judges, and its first chain looks. */
const gatePriority = -140
const knockPriority = -151
const grantPriority = -149

export function checkForeignRules({ kernel, configuration: { config }, machine }: Facts): Finding[] {
  const flush = machine.nftablesServiceFlushes
    ? [
        finding(
          'ruleset-flushed-at-start',
          "nftables.service is enabled, and /etc/nftables.conf flushes all rules whenever it starts or reloads, pkctl's too",
          'let pkctld start after it and follow it, as templates/pkctld.service does; pkctl reload puts the rules back',
        ),
      ]
    : []
  if (!kernel) return flush
  const specs = [...kernel.services.values()].map(({ spec }) => spec)
  return [
    ...specs.flatMap(spec => closedBy(spec, kernel)),
    ...(config ? droppedKnocks(config, kernel) : []),
    ...specs.flatMap(spec => published(spec, specs, kernel)),
    ...(config ? foreignMarks(config, kernel) : []),
    ...(config ? foreignQueues(config, kernel) : []),
    ...flush,
  ]
}

const baseChains = (chains: readonly RuleChain[], ...hooks: readonly string[]) =>
  chains.filter(({ base }) => base && hooks.includes(base.hook))

/** The first and the last port of each range stand for all. */
function probesOf(spec: ServiceSpec): Probe[] {
  const ports = [...new Set(spec.ports.flatMap(({ first, last }) => [first, last]))]
  return protocolsOf(spec).flatMap(protocol => ports.map(port => ({ protocol, port })))
}

const probeText = ({ port, protocol }: Probe) => `${port ?? 'any port'}/${protocolName(protocol)}`

const closes = ({ accepts, falls, dropsAll }: Passage, { base }: RuleChain) =>
  !accepts && ((falls && base?.policy === 'drop') || (!falls && dropsAll))

function closedBy(spec: ServiceSpec, { chains }: KernelFacts): Finding[] {
  return baseChains(chains, 'prerouting', 'input').flatMap(chain => {
    const passages = probesOf(spec).map(probe => ({ probe, passage: passageThrough(chain, chains, probe) }))
    const shut = passages.filter(({ passage }) => closes(passage, chain) && passage.dropsByPort !== 'all')
    const byPort = (how: 'all' | 'some') => passages.filter(({ passage }) => passage.dropsByPort === how)
    const subject = { service: spec.name, table: `${chain.family} ${chain.table}` }
    const when = (chain.base?.priority ?? 0) < gatePriority ? 'before' : 'after'
    const who = chainText(chain, chains)
    const about = (probes: readonly { probe: Probe }[]) => listed(probes.map(({ probe }) => probeText(probe)))
    return [
      ...(shut.length > 0
        ? [
            finding(
              'policy-drops',
              `${who} drops what it does not accept, ${when} pkctl, and has no rule that lets ${about(shut)} pass: who is granted ${spec.name} may find it closed all the same`,
              howToOpen(
                chain,
                chains,
                shut.map(({ probe }) => probe),
              ),
              subject,
            ),
          ]
        : []),
      ...(byPort('all').length > 0
        ? [
            finding(
              'rule-drops',
              `${who} has a rule that drops ${about(byPort('all'))}, ${when} pkctl: who is granted ${spec.name} may find it closed all the same`,
              'take that rule away: closing the port is what pkctl does',
              subject,
            ),
          ]
        : []),
      ...(byPort('some').length > 0
        ? [
            finding(
              'rule-drops',
              `${who} has a rule that drops some packets to ${about(byPort('some'))}, ${when} pkctl: it may be meant for others than those who are granted ${spec.name}`,
              'look at that rule; pkctl cannot open what it closes',
              { ...subject, level: 'note' },
            ),
          ]
        : []),
    ]
  })
}

function howToOpen(chain: RuleChain, chains: readonly RuleChain[], probes: readonly Probe[]): string {
  const first = probes[0] ?? { protocol: 6, port: 22 }
  const [port, protocol] = [String(first.port ?? 'PORT'), protocolName(first.protocol)]
  const tool = chain.tool === 'iptables-legacy' ? 'iptables-legacy' : 'iptables'
  switch (ownerOf(chain, chains)) {
    case 'ufw':
      return `ufw allow ${port}/${protocol}; pkctl keeps it closed to strangers`
    case 'firewalld':
      return `firewall-cmd --permanent --add-port=${port}/${protocol} && firewall-cmd --reload; pkctl keeps it closed to strangers`
    case 'iptables':
    case 'docker': {
      const command = chain.family === 'ip6' ? tool.replace('ip', 'ip6') : tool
      return `${command} -I ${chain.name} -p ${protocol} --dport ${port} -j ACCEPT; pkctl keeps it closed to strangers`
    }
    case 'nft':
      return `let it pass: nft insert rule ${chain.family} ${chain.table} ${chain.name} ${protocol} dport ${port} accept; pkctl keeps it closed to strangers`
  }
}

/** Knocks are looked at early; what comes earlier still, or on an earlier hook, can keep them away. */
function droppedKnocks(config: Config, { chains, services }: KernelFacts): Finding[] {
  const early = baseChains(chains, 'prerouting', 'input').filter(
    ({ base }) => base?.hook === 'prerouting' || (base?.priority ?? 0) <= knockPriority,
  )
  const guarded = (probe: Probe) =>
    [...services.values()].some(({ spec }) =>
      probesOf(spec).some(({ port, protocol }) => port === probe.port && protocol === probe.protocol),
    )
  return early.flatMap(chain =>
    config.credentials.flatMap(credential => {
      if (!credential.enabled) return []
      const lost = knocksOf(credential).filter(probe => {
        const passage = passageThrough(chain, chains, probe)
        return !guarded(probe) && (closes(passage, chain) || passage.dropsByPort === 'all')
      })
      if (lost.length === 0) return []
      return [
        finding(
          'knocks-dropped',
          `${chainText(chain, chains)} may drop knocks of ${credential.name}, to ${listed([...new Set(lost.map(probeText))])}, before pkctl sees them`,
          'let them pass there; they reach no program but pkctld',
          { credential: credential.name, table: `${chain.family} ${chain.table}` },
        ),
      ]
    }),
  )
}

function knocksOf(credential: Credential): Probe[] {
  if ('port' in credential) return [{ protocol: protocolUdp, port: credential.port }]
  return credential.type === 'sequence' ? [...credential.steps] : []
}

/** Address translation comes before the input hook, and after pkctl's place in prerouting. */
function published(spec: ServiceSpec, specs: readonly ServiceSpec[], { chains }: KernelFacts): Finding[] {
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
      `let the service judge before that: 'hook: prerouting' in the configuration, or pkctl init ${spec.name} --hook prerouting`,
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
        `${chainText(chain, chains)} turns port ${first} into port ${target}, which service ${spec.name} guards before that: by port ${first} it may be open to everyone`,
        `add port ${first} to the service, or let it judge on 'hook: input'`,
        { service: spec.name, table: `${chain.family} ${chain.table}` },
      ),
    )
}

function foreignMarks({ marks: { mask } }: Config, { chains, services }: KernelFacts): Finding[] {
  const early = [...services.values()].some(({ spec }) => spec.hook === 'prerouting')
  // Behind pkctl's last look at marks, others may do with them what they like.
  const together = baseChains(chains, 'prerouting', 'input').filter(
    ({ base }) =>
      base && (base.hook === 'prerouting' ? !early || base.priority <= grantPriority : base.priority <= grantPriority),
  )
  return together.flatMap(chain => {
    const rules = chains
      .filter(({ family, table }) => family === chain.family && table === chain.table)
      .flatMap(one => (one === chain || !one.base ? one.rules : []))
    const bits = rules.flatMap(({ actions }) =>
      actions.flatMap(action => (action.kind === 'mark' ? [(action.bits & mask) >>> 0] : [])),
    )
    if (bits.every(one => one === 0)) return []
    return [
      finding(
        'foreign-mark',
        `${chainText(chain, chains)} may set bits of the packet mark that belong to pkctl (0x${mask.toString(16)}): pkctl clears them, and what they are for may fail`,
        "give pkctl other bits with 'marks: mask', and restart pkctld; or change that rule",
        { table: `${chain.family} ${chain.table}` },
      ),
    ]
  })
}

function foreignQueues({ queue: { number } }: Config, { chains }: KernelFacts): Finding[] {
  const senders = chains.filter(({ rules }) =>
    rules.some(({ actions }) => actions.some(action => action.kind === 'queue' && action.number === number)),
  )
  return senders.map(chain =>
    finding(
      'foreign-queue',
      `${chainText(chain, chains)} sends packets to queue ${number} as well: pkctld lets them go on unjudged, and the program for which they are meant does not get them`,
      "use another number there, or with 'queue: number' here, and restart pkctld",
      { table: `${chain.family} ${chain.table}` },
    ),
  )
}
