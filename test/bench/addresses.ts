/**
 * Who is who in the benchmarks' lab, beyond its few addresses: whole prefixes of the client's, from which it can knock
 * and connect (AnyIP: a prefix that is routed as local), and prefixes that only forged packets come from.
 */
import { isIPv6 } from 'node:net'
import { must } from '../support/commands.js'
import type { Lab } from '../support/lab.js'
import { client4, client6 } from '../support/lab.js'

/** The client's own. */
const own4 = '10.78.0.0/16'
const own6 = 'fd78::/48'

/** A source of the client's for every number up to 60,000. With IPv6 each has its own /64, which counts as one source. */
export function ownSource(version: 4 | 6, index: number): string {
  const number = index + 1
  return version === 4 ? `10.78.${number >> 8}.${number & 255}` : `fd78:0:0:${number.toString(16)}::1`
}

/** The first of the addresses from which only forged packets come, as a number: 10.128.0.0 and all above. */
export const forgedBase = 0x0a_80_00_00

export const addressText = (number: number): string => [24, 16, 8, 0].map(shift => (number >>> shift) & 255).join('.')

export function addressNumber(text: string): number {
  return text.split('.').reduce((number, part) => number * 256 + Number(part), 0)
}

/** The 4 or 16 bytes of an address. */
export function addressBytes(text: string): Buffer {
  if (!isIPv6(text)) return Buffer.from(text.split('.').map(Number))
  const [head = '', tail = ''] = text.split('::')
  const groups = (part: string) => (part === '' ? [] : part.split(':').map(group => parseInt(group, 16)))
  const [first, last] = [groups(head), groups(tail)]
  const bytes = Buffer.alloc(16)
  const all = [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last]
  all.forEach((group, i) => bytes.writeUInt16BE(group, i * 2))
  return bytes
}

/** Gives the client its prefixes. */
export async function addSources({ client, server }: Lab): Promise<void> {
  const commands = [
    `-n ${client} route add local ${own4} dev lo`,
    `-n ${client} -6 route add local ${own6} dev lo`,
    `-n ${server} route add ${own4} via ${client4}`,
    `-n ${server} -6 route add ${own6} via ${client6}`,
  ]
  for (const command of commands) await must(['ip', ...command.split(' ')])
}
