/** Foreign rules that drop packets to a guarded port, or knocks. */
import type { Config, Credential } from '../../config/types.js'
import { protocolUdp } from '../../net/index.js'
import type { RuleChain } from '../../nft/foreign/index.js'
import type { ServiceSpec } from '../../nft/index.js'
import type { KernelFacts } from '../facts.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'
import { chainText, listed, ownerOf, protocolName } from './descriptions.js'
import { baseChains, closes, probesOf, probeText } from './foreign-chains.js'
import type { Probe } from './simulate-packet.js'
import { passageThrough } from './simulate-packet.js'

/** The priorities of pkctl's chains for services and for knocks. */
const gatePriority = -140
const knockPriority = -151

export function closedBy(spec: ServiceSpec, { chains }: KernelFacts): Finding[] {
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
              `${who} drops what it does not accept, ${when} pkctl, and has no rule that lets ${about(shut)} pass: ${spec.name} may stay closed to sources with a grant`,
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
              `${who} has a rule that drops ${about(byPort('all'))}, ${when} pkctl: ${spec.name} may stay closed to sources with a grant`,
              'remove that rule: pkctl closes the port',
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
export function droppedKnocks(config: Config, { chains, services }: KernelFacts): Finding[] {
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
