/** What a node says of itself every few seconds. */
import { longestHello } from './message.js'

export interface Hello {
  /** Of pkctl. */
  readonly version: string
  readonly share: readonly string[]
  readonly accept: readonly string[]
  /** How many grants of the fleet run, as far as the node knows. */
  readonly grants: number
  /** The longest time that a grant can run there, in seconds; null where it was not said, as for `prefixes`. */
  readonly window: number | null
  /** By service, how many bits of an IPv4 and of an IPv6 address are granted together, such as `24/64`. */
  readonly prefixes: Readonly<Record<string, string>>
}

const mostServices = 10

/** As many services as fit into a message. */
export function helloText({ version, share, accept, grants, window, prefixes }: Hello): string {
  for (let most = mostServices; ; most--) {
    const few = Object.fromEntries(Object.entries(prefixes).slice(0, most))
    const services = { share: share.slice(0, most), accept: accept.slice(0, most), prefixes: few }
    const text = JSON.stringify({ version, grants, window, ...services })
    if (text.length <= longestHello || most === 0) return text
  }
}

/** Undefined for what is none. */
export function readHello(text: string): Hello | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { version, share, accept, grants, window, prefixes } = value as Record<string, unknown>
  if (!isName(version) || !isList(share) || !isList(accept) || !isCount(grants)) return undefined
  return { version, share, accept, grants, window: isCount(window) ? window : null, prefixes: prefixesIn(prefixes) }
}

const isName = (one: unknown): one is string => typeof one === 'string' && /^[\w.+~-]{1,64}$/.test(one)
const isList = (one: unknown): one is string[] => Array.isArray(one) && one.length <= mostServices && one.every(isName)
const isCount = (one: unknown): one is number => typeof one === 'number' && Number.isSafeInteger(one) && one >= 0

const isBits = (one: unknown): one is string => typeof one === 'string' && /^\d{1,2}\/\d{1,3}$/.test(one)

function prefixesIn(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {}
  const known = Object.entries(value).filter(([name, bits]) => isName(name) && isBits(bits))
  return Object.fromEntries(known.slice(0, 2 * mostServices))
}
