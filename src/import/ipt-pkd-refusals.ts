/** Rules that refuse the ports which a list opens: they say how, and would go on refusing beside pkctl. */
import { count } from '../util/index.js'
import type { OpenedPorts, Reject } from './draft-entries.js'
import type { Draft } from './draft.js'
import { rangesOverlap } from './group-ports.js'
import type { Line, Policy } from './ipt-pkd-lines.js'
import type { IptablesRule } from './iptables.js'
import { isAboutNew, portsOfRule, valueOf } from './iptables.js'
import { shorten } from './notes.js'
import { formatServicePorts } from './service-ports.js'

/** Whether a rule looks sources up in a list. */
export const isCheck = ({ options }: IptablesRule) => options.has('--rcheck') || options.has('--update')

/** Whether a rule is about the sources that are not in its list. */
export const isOutsideList = ({ negated }: IptablesRule) => negated.has('--rcheck') || negated.has('--update')

/** How a rule refuses; undefined where it does not. */
export function rejectOf(rule: IptablesRule): Reject | undefined {
  const jump = valueOf(rule, '--jump')
  if (jump === 'DROP') return 'drop'
  if (jump !== 'REJECT') return undefined
  // iptables refuses a reset of another protocol.
  const isTcp = ['tcp', '6'].includes((valueOf(rule, '--protocol') ?? '').toLowerCase())
  return isTcp && valueOf(rule, '--reject-with') === 'tcp-reset' ? 'reset' : 'icmp'
}

const isRefusing = ({ rule, table }: Line) =>
  table === 'filter' &&
  !['FORWARD', 'OUTPUT'].includes(rule.chain) &&
  rejectOf(rule) !== undefined &&
  isAboutNew(rule) &&
  (isOutsideList(rule) ? rule.odd.length === 1 : rule.odd.length === 0 && !isCheck(rule))

/** A rule that refuses ports by their numbers. */
export interface RefusedPorts extends Pick<OpenedPorts, 'protocol' | 'ports'> {
  readonly line: Line
  readonly reject: Reject
}

export const refusalsIn = (lines: readonly Line[]): RefusedPorts[] =>
  lines.flatMap(line => {
    const ports = isRefusing(line) ? portsOfRule(line.rule) : ''
    const reject = rejectOf(line.rule)
    return typeof ports === 'string' || reject === undefined ? [] : [{ ...ports, line, reject }]
  })

/** Those that refuse some of these ports. */
export const refusalsOf = (opening: OpenedPorts, refusals: readonly RefusedPorts[]): RefusedPorts[] =>
  refusals.filter(({ protocol, ports }) => protocol === opening.protocol && rangesOverlap(ports, opening.ports))

/** What refuses all that nothing accepted before. */
const isForAll = (line: Line) =>
  isRefusing(line) &&
  line.rule.chain === 'INPUT' &&
  line.rule.odd.length === 0 &&
  [...line.rule.options.keys()].every(option => ['--jump', '--reject-with', '--comment', '--ctstate'].includes(option))

/** Says which rules and policies keep the ports closed beside pkctl. */
export function sayRefusals(
  opens: readonly OpenedPorts[],
  refusals: ReadonlySet<RefusedPorts>,
  lines: readonly Line[],
  policies: readonly Policy[],
  draft: Draft,
): void {
  if (opens.length === 0) return
  const what = shorten([...new Set(opens.map(({ protocol, ports }) => formatServicePorts(protocol, ports)))].join(', '))
  for (const { line, protocol, ports } of refusals) {
    const { rule, number } = line
    const refused = `${formatServicePorts(protocol, ports)} (${valueOf(rule, '--jump')})`
    draft.caution(`line ${number} refuses ${refused}: take it out of iptables, or no grant of pkctl opens the port`)
  }
  for (const { rule, number } of lines.filter(isForAll)) {
    const refuses = `line ${number} refuses what is not accepted before it (${valueOf(rule, '--jump')})`
    draft.caution(`${refuses}: accept ${what} before it, for all; pkctl keeps it closed`)
  }
  for (const { chain, target } of policies) {
    if (chain === 'INPUT' && target === 'DROP')
      draft.caution(`the policy of INPUT is DROP: accept ${what} there, for all; pkctl keeps it closed`)
  }
}

/** Says which rules are replaced. */
export function sayReplaced(replaced: readonly Line[], draft: Draft): void {
  const numbers = [...new Set(replaced.map(({ number }) => number))].sort((a, b) => a - b)
  const shown = numbers.length > 20 ? [...numbers.slice(0, 20), count(numbers.length - 20, 'other')] : numbers
  const [last, ...before] = shown.map(String).reverse()
  if (last === undefined) return
  const list = before.length === 0 ? `line ${last}` : `lines ${before.reverse().join(', ')} and ${last}`
  draft.remark(`take ${list} out of iptables: pkctl does what they did`)
}
