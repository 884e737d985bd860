/** Lines of a shell that open or close ports for one address, in one command or several. */
import type { FirewallCommand } from './firewall-commands.js'
import { readFirewallCommand } from './firewall-commands.js'
import { formatServicePorts } from './service-ports.js'
import { literalWords, readShell } from './shell-words.js'

export interface FirewallLine extends FirewallCommand {
  /** What a shell runs after that; empty for nothing. */
  readonly rest: string
}

/** Commands that change what a line opens, now or later. */
export const changesRules = /\b(ip6?tables|ipset|nft|ufw|firewall-cmd|pktables|pkctl)\b/

/** What the line does, if it is plain which ports it opens or closes. */
export function readFirewallLine(given: string): FirewallLine | undefined {
  const line = withoutShell(given)
  const { commands } = readShell(line)
  const read = commands.map(command => (command.literal ? readFirewallCommand(command.words) : undefined))
  const other = read.findIndex(one => one === undefined)
  const known = other < 0 ? commands : commands.slice(0, other)
  if (known.some(({ operator }) => !['', ';', '&&'].includes(operator))) return undefined
  const first = joined(read.slice(0, known.length))
  if (!first) return undefined
  const seconds = secondsOfPause(commands[known.length])
  const last = joined(read.slice(known.length + 1))
  if (seconds !== undefined && first.action === 'open' && last?.action === 'close' && isSame(first, last))
    return { ...first, seconds, rest: '' }
  const rest = other < 0 ? '' : line.slice(known.at(-1)?.next).trim()
  return changesRules.test(rest) || /\b(sleep|at)\b/.test(rest) ? undefined : { ...first, rest }
}

/** What a shell is called for, as in `sh -c 'iptables …'`. */
function withoutShell(line: string): string {
  const words = literalWords(line) ?? []
  return /^(\/usr)?(\/bin\/)?(ba|da)?sh$/.test(words[0] ?? '') && words[1] === '-c' && words.length === 3
    ? (words[2] as string)
    : line
}

/** Commands that all open, or all close, as one. */
function joined(commands: readonly (FirewallCommand | undefined)[]): FirewallCommand | undefined {
  const [first] = commands
  const all = commands.filter(command => command !== undefined)
  if (!first || all.length < commands.length) return undefined
  if (all.some(({ action, seconds }) => action !== first.action || seconds !== first.seconds)) return undefined
  const [every, ...others] = new Set(all.flatMap(one => one.all ?? []))
  return {
    ...first,
    opens: all.flatMap(({ opens }) => opens),
    services: [...new Set(all.flatMap(({ services }) => services))],
    limits: [...new Set(all.flatMap(({ limits }) => limits))],
    ...(every === undefined ? {} : { all: others.length > 0 ? 'any' : every }),
  }
}

/** Of `sleep 30`. */
function secondsOfPause(command: { words: readonly string[]; operator: string } | undefined): number | undefined {
  const { words: [program, time = '', ...more] = [], operator = '' } = command ?? {}
  const [, digits, unit = ''] = /^([1-9]\d{0,6})([smhd]?)$/.exec(time) ?? []
  if (program !== 'sleep' || more.length > 0 || digits === undefined || !['', ';', '&&'].includes(operator))
    return undefined
  return Number(digits) * ({ '': 1, s: 1, m: 60, h: 3600, d: 86_400 }[unit] ?? 1)
}

/** What is opened or closed, in words that can be compared. */
export const keysOf = ({ opens, services, all }: FirewallCommand): string[] =>
  all === undefined
    ? [
        ...new Set([
          ...opens.map(({ protocol, ports }) => formatServicePorts(protocol, ports)),
          ...services.map(service => `service ${service}`),
        ]),
      ].sort()
    : [`all ports of ${all}`]

export const isSame = (one: FirewallCommand, other: FirewallCommand): boolean =>
  keysOf(one).join() === keysOf(other).join()
