/** Which ports a list of `recent` opens, in which ipt_pkd enters the sources of knocks. */
import { maxWindowSeconds } from '../config/service-rules.js'
import type { Draft } from './draft.js'
import type { OpenedPorts, Window } from './draft-entries.js'
import type { Line } from './ipt-pkd-lines.js'
import { maskOf } from './ipt-pkd-lines.js'
import { isOutsideList, rejectOf } from './ipt-pkd-refusals.js'
import type { IptablesRule } from './iptables.js'
import { addressesOf, conditionsOf, isAboutNew, portsOfRule, valueOf } from './iptables.js'
import { shorten } from './notes.js'
import { formatServicePorts } from './service-ports.js'

/** What a rule that looks a source up in the list opens. */
export function openingOf({ rule, table, number }: Line, list: string, draft: Draft): OpenedPorts[] {
  const leave = (why: string): OpenedPorts[] => {
    draft.caution(`left out: line ${number}, for the list ${shorten(list)}: ${why}`)
    return []
  }
  if (table !== 'filter') return leave(`it is in the table ${shorten(table)}`)
  if (['FORWARD', 'OUTPUT'].includes(rule.chain))
    return leave('it is for packets to other machines, which pkctl does not filter')
  const jump = valueOf(rule, '--jump') ?? 'none'
  // Who is not in the list is refused: the same, the other way round.
  const reject = isOutsideList(rule) ? rejectOf(rule) : undefined
  const hits = valueOf(rule, '--hitcount') ?? '1'
  const conditions = conditionsOf(rule)
  if (reject !== undefined && conditions[0] === '!') conditions.shift()
  if (!/^[01]$/.test(hits)) conditions.push(`--hitcount ${hits}`)
  if (conditions.length > 0) return leave(`${shorten(conditions.join(' '))} has no meaning here`)
  if (jump !== 'ACCEPT' && reject === undefined) return leave(`its target is ${shorten(jump)} and not ACCEPT`)
  if (!isAboutNew(rule))
    return leave(`it is for connections that are ${shorten(valueOf(rule, '--ctstate') ?? 'open')}, not NEW`)
  const ports = portsOfRule(rule)
  if (typeof ports === 'string') return leave(`${ports}; a service with port: 1-65535 and except can protect all ports`)
  const what = formatServicePorts(ports.protocol, ports.ports)
  if (rule.chain !== 'INPUT') {
    const chain = shorten(rule.chain)
    draft.caution(`line ${number}: ${what}: what calls the chain ${chain} is not checked; here it is for all packets`)
  }
  const mask = maskOf(rule)
  if (mask !== undefined) draft.caution(`line ${number}: ${mask}`)
  if (rule.options.has('--rttl'))
    draft.caution(`left out: line ${number}: --rttl: the hops of a packet are not compared`)
  if (rule.options.has('--update'))
    draft.caution(`${what}: there, each packet restarts the time (--update); here, a knock does`)
  for (const option of ['--source', '--destination', '--in-interface'] as const) {
    const value = option === '--in-interface' ? valueOf(rule, option) : addressesOf(rule, option)
    if (value !== undefined)
      draft.caution(`left out: line ${number}: ${option} ${shorten(value)}: ${what} opens wherever it is`)
  }
  return [{ ...ports, window: periodOf(rule, what, draft), ...(reject === undefined ? {} : { reject }) }]
}

function periodOf(rule: IptablesRule, what: string, draft: Draft): Window {
  const text = valueOf(rule, '--seconds')
  const seconds = Number(text)
  if (text !== undefined && Number.isInteger(seconds) && seconds >= 1) return Math.min(seconds, maxWindowSeconds)
  draft.caution(`${what}: without --seconds, it stays open until pkctl delete; a window such as 8h is safer`)
  return 'unlimited'
}
