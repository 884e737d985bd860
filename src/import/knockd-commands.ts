/** The commands of a door, as far as they open or close ports in a way that is understood. */
import type { FirewallCommand } from './firewall-commands.js'
import { readFirewallCommand } from './firewall-commands.js'
import { formatServicePorts } from './service-ports.js'

/** What is known of the commands of a door; undefined where there is none, or it is not understood. */
export interface DoorCommands {
  readonly start: FirewallCommand | undefined
  readonly stop: FirewallCommand | undefined
  /** What opening is limited to, over either version of IP. */
  readonly limits: readonly string[]
  /** Whether all that is given is understood, and IPv6 has nothing of its own. */
  readonly plain: boolean
}

export function commandsOf(values: ReadonlyMap<string, string>): DoorCommands {
  const read = (key: string) => {
    const line = values.get(key)
    return line === undefined || line === '' ? undefined : readFirewallCommand(line)
  }
  const start = read('start_command')
  const stop = read('stop_command')
  const limits = [...new Set([...(start?.limits ?? []), ...(read('start_command_6')?.limits ?? [])])]
  const isGiven = (key: string) => (values.get(key) ?? '') !== ''
  const sameForIpv6 = (key: string, ipv4: FirewallCommand | undefined) => {
    if (!values.has(`${key}_6`)) return true
    const ipv6 = read(`${key}_6`)
    if (!ipv4 || !ipv6 || ipv6.seconds !== ipv4.seconds) return false
    return ipv6.action === ipv4.action && keysOf(ipv6).join() === keysOf(ipv4).join()
  }
  const understood = start !== undefined && (stop !== undefined || !isGiven('stop_command'))
  const plain = understood && sameForIpv6('start_command', start) && sameForIpv6('stop_command', stop)
  return { start, stop, limits, plain }
}

/** What is opened or closed, in words that can be compared. */
export const keysOf = ({ opens, service }: FirewallCommand): string[] =>
  service === undefined
    ? opens.map(({ protocol, ports }) => formatServicePorts(protocol, ports)).sort()
    : [`service ${service}`]
