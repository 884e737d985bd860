/** Ports as other programs write them, and the names of services that are made for them. */
import type { PortRange } from '../net/index.js'
import { formatPortRange, formatPorts, mergePorts, parsePort } from '../net/index.js'

export type PortProtocol = 'tcp' | 'udp' | 'sctp'

// A table of its own, and not that of the machine, so that what is printed is the same everywhere.
const known: Readonly<Record<string, number>> = {
  'ftp/tcp': 21,
  'ssh/tcp': 22,
  'telnet/tcp': 23,
  'smtp/tcp': 25,
  'domain/tcp': 53,
  'domain/udp': 53,
  'http/tcp': 80,
  'pop3/tcp': 110,
  'imap/tcp': 143,
  'https/tcp': 443,
  'isakmp/udp': 500,
  'submission/tcp': 587,
  'imaps/tcp': 993,
  'pop3s/tcp': 995,
  'openvpn/udp': 1194,
  'mysql/tcp': 3306,
  'ms-wbt-server/tcp': 3389,
  'postgresql/tcp': 5432,
}

const names = new Map(Object.entries(known).map(([name, port]) => [`${port}${name.slice(name.indexOf('/'))}`, name]))

/** A number or a name; undefined for what is neither. */
export function portOf(text: string, protocol: PortProtocol): number | undefined {
  if (Object.hasOwn(known, `${text}/${protocol}`)) return known[`${text}/${protocol}`]
  try {
    return parsePort(text)
  } catch {
    return undefined
  }
}

/** `22`, `ssh`, `6000:6010` and `6000:`, several with commas between them, as iptables has them; merged. */
export function readIptablesPorts(text: string, protocol: PortProtocol): PortRange[] | undefined {
  const ranges = text.split(',').map(part => rangeOf(part, protocol))
  return ranges.every(range => range !== undefined) ? mergePorts(ranges) : undefined
}

function rangeOf(text: string, protocol: PortProtocol): PortRange | undefined {
  const [from = '', to = from, ...more] = text.split(':')
  const first = portOf(from === '' && text !== '' ? '1' : from, protocol)
  const last = portOf(to === '' && text.includes(':') ? '65535' : to, protocol)
  if (first === undefined || last === undefined || first > last || more.length > 0 || text === ':') return undefined
  return { first, last }
}

export const formatServicePorts = (protocol: PortProtocol, ports: readonly PortRange[]): string =>
  `${formatPorts(ports)}/${protocol}`

/** What a service for these ports is called. */
export function serviceNameFor(protocol: PortProtocol, ports: readonly PortRange[]): string {
  const [range, ...more] = ports
  if (!range) return protocol
  const name = more.length === 0 && range.first === range.last ? names.get(`${range.first}/${protocol}`) : undefined
  if (name !== undefined)
    return protocol === 'udp' && `${name.replace(/\/.*/, '')}/tcp` in known
      ? name.replace('/', '-')
      : name.replace(/\/.*/, '')
  return `${protocol}-${formatPortRange(range)}${more.length > 0 ? '-and-more' : ''}`
}
