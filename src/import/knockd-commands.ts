/** The commands of a section, as far as they open or close ports in a way that is understood. */
import type { FirewallLine } from './firewall-lines.js'
import { isSame, readFirewallLine } from './firewall-lines.js'

/** What is known of the commands of a section; undefined where there is none, or it is not understood. */
export interface SectionCommands {
  readonly start: FirewallLine | undefined
  readonly stop: FirewallLine | undefined
  /** What opening is limited to, over either version of IP. */
  readonly limits: readonly string[]
  /** Whether all that is given is understood, and IPv6 has nothing of its own. */
  readonly plain: boolean
  /** By the keys that are given, what is left to run when the ports are opened and closed here. */
  readonly rests: ReadonlyMap<string, string>
}

const keys = ['start_command', 'start_command_6', 'stop_command', 'stop_command_6']

export function commandsOf(values: ReadonlyMap<string, string>): SectionCommands {
  const read = new Map(
    keys.filter(key => values.has(key)).map(key => [key, readFirewallLine(values.get(key) as string)]),
  )
  const start = read.get('start_command')
  const stop = read.get('stop_command')
  const limits = [...new Set([...(start?.limits ?? []), ...(read.get('start_command_6')?.limits ?? [])])]
  const isGiven = (key: string) => (values.get(key) ?? '') !== ''
  const sameForIpv6 = (key: string, ipv4: FirewallLine | undefined) => {
    if (!values.has(`${key}_6`)) return true
    const ipv6 = read.get(`${key}_6`)
    if (!ipv4 || !ipv6 || ipv6.seconds !== ipv4.seconds) return false
    return ipv6.action === ipv4.action && isSame(ipv6, ipv4)
  }
  const understood = start !== undefined && (stop !== undefined || !isGiven('stop_command'))
  const plain = understood && sameForIpv6('start_command', start) && sameForIpv6('stop_command', stop)
  const rests = new Map([...read].map(([key, line]) => [key, line?.rest ?? '']))
  return { start, stop, limits, plain, rests }
}
