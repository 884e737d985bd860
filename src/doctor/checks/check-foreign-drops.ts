/** Foreign rules that drop packets to a guarded port, or knocks. */
import type { Config, Credential } from '../../config/types.js'
import { familyOf, protocolUdp } from '../../net/index.js'
import type { RuleChain } from '../../nft/foreign/index.js'
import type { ServiceSpec } from '../../nft/index.js'
import { gatePriority } from '../../nft/index.js'
import type { KernelFacts } from '../facts.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'
import { chainText, listed, ownerOf, protocolName } from './descriptions.js'
import { arrivals, baseChains, packetsAt, probesOf, probeText, treatmentBy } from './foreign-chains.js'
import type { Probe } from './simulate-packet.js'

/** `source`: what is done to packets of this address; undefined for what is done to those of all. */
export function closedBy(spec: ServiceSpec, kernel: KernelFacts, source?: string): Finding[] {
  const { chains } = kernel
  // No packet of the address comes to chains of the other version of IP.
  const other = source === undefined ? undefined : familyOf(source) === 4 ? 'ip6' : 'ip'
  const reached = baseChains(chains, 'prerouting', 'input').filter(({ family }) => family !== other)
  return reached.flatMap(chain => {
    const treat = (probe: Probe) => {
      const packets = arrivals(probe, kernel).flatMap(one => packetsAt(chain, spec, one, kernel))
      return packets.length === 0 ? [] : [{ probe, ...treatmentBy(chain, packets, kernel) }]
    }
    const all = probesOf(spec).flatMap(probe => treat({ ...probe, source }))
    const isForIt = ({ probe, passes }: (typeof all)[number]) =>
      source !== undefined && passes === 'nobody' && treat({ ...probe, source: undefined })[0]?.passes !== 'nobody'
    const [banned, treated] = split(all, isForIt)
    const subject = { service: spec.name, table: `${chain.family} ${chain.table}` }
    const when = (chain.base?.priority ?? 0) < gatePriority ? 'before' : 'after'
    const who = chainText(chain, chains)
    const ports = (of: typeof treated) => listed(of.map(({ probe }) => probeText(probe)))
    const advice = (of: typeof treated) =>
      howToOpen(
        chain,
        chains,
        of.map(({ probe }) => probe),
      )
    const shut = treated.filter(({ passes }) => passes === 'nobody')
    const [byRule, byPolicy] = split(shut, ({ dropsByPort }) => dropsByPort === 'all')
    const partly = treated.filter(({ passes }) => passes === 'some')
    const some = treated.filter(({ passes, dropsByPort }) => passes === 'everyone' && dropsByPort !== null)
    const ways = [...new Set(partly.flatMap(({ only }) => only))]
    return [
      ...(banned.length > 0
        ? [
            finding(
              'rule-drops',
              `${who} drops packets from ${source} to ${ports(banned)} ${when} pkctl: ${source} cannot use ${spec.name}, even with a grant`,
              'look for the address in the rules and sets of that table; pkctl cannot open what it closes',
              subject,
            ),
          ]
        : []),
      ...(byPolicy.length > 0
        ? [
            finding(
              'policy-drops',
              `${who} drops what it does not accept, ${when} pkctl, and has no rule that lets ${ports(byPolicy)} pass: ${spec.name} may stay closed to sources with a grant`,
              advice(byPolicy),
              subject,
            ),
          ]
        : []),
      ...(byRule.length > 0
        ? [
            finding(
              'rule-drops',
              `${who} has a rule that drops ${ports(byRule)}, ${when} pkctl: ${spec.name} may stay closed to sources with a grant`,
              'remove that rule: pkctl closes the port',
              subject,
            ),
          ]
        : []),
      ...(partly.length > 0
        ? [
            finding(
              'passes-for-some',
              `${who} lets ${ports(partly)} pass only ${ways.length > 0 ? `by ${listed(ways)}` : 'from certain sources'}, ${when} pkctl: to others ${spec.name} stays closed, even with a grant`,
              advice(partly),
              subject,
            ),
          ]
        : []),
      ...(some.length > 0
        ? [
            finding(
              'rule-drops',
              `${who} has a rule that drops some packets to ${ports(some)}, ${when} pkctl: it may be meant for others than those who are granted ${spec.name}`,
              'look at that rule; pkctl cannot open what it closes',
              { ...subject, level: 'note' },
            ),
          ]
        : []),
    ]
  })
}

function split<T>(all: readonly T[], isFirst: (one: T) => boolean): [T[], T[]] {
  return [all.filter(isFirst), all.filter(one => !isFirst(one))]
}

function howToOpen(chain: RuleChain, chains: readonly RuleChain[], probes: readonly Probe[]): string {
  const first = probes[0] ?? { protocol: 6, port: 22 }
  const [port, protocol] = [String(first.port ?? 'PORT'), protocolName(first.protocol)]
  const tool = chain.tool === 'iptables-legacy' ? 'iptables-legacy' : 'iptables'
  switch (ownerOf(chain, chains)) {
    case 'ufw':
      return `ufw allow ${port}/${protocol}; pkctl keeps it closed to sources without a grant`
    case 'firewalld':
      return `firewall-cmd --permanent --add-port=${port}/${protocol} && firewall-cmd --reload; pkctl keeps it closed to sources without a grant`
    case 'iptables':
    case 'docker': {
      const command = chain.family === 'ip6' ? tool.replace('ip', 'ip6') : tool
      return `${command} -I ${chain.name} -p ${protocol} --dport ${port} -j ACCEPT; pkctl keeps it closed to sources without a grant`
    }
    case 'nft':
      return `let it pass: nft insert rule ${chain.family} ${chain.table} ${chain.name} ${protocol} dport ${port} accept; pkctl keeps it closed to sources without a grant`
  }
}

/** Knocks are looked at early; what comes earlier still, or on an earlier hook, can keep them away. */
export function droppedKnocks(config: Config, kernel: KernelFacts): Finding[] {
  const { chains, services } = kernel
  const early = baseChains(chains, 'prerouting', 'input').filter(
    ({ base }) => base?.hook === 'prerouting' || (base?.priority ?? 0) < gatePriority,
  )
  const guarded = (probe: Probe) =>
    [...services.values()].some(({ spec }) =>
      probesOf(spec).some(({ port, protocol }) => port === probe.port && protocol === probe.protocol),
    )
  return early.flatMap(chain =>
    config.credentials.flatMap(credential => {
      if (!credential.enabled) return []
      const lost = knocksOf(credential).filter(probe => {
        if (guarded(probe)) return false
        const { passes, dropsByPort } = treatmentBy(chain, arrivals(probe, kernel), kernel)
        return passes === 'nobody' || dropsByPort === 'all'
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
