/** What a rule in nft's JSON asks of a packet. */
import type { PortRange } from '../../net/index.js'
import { protocolNumbers } from '../../net/index.js'
import type { Json } from '../nft-json.js'
import { asArray, asObject, asText } from '../listing.js'
import type { Condition } from './rule.js'

/** The elements of a named set or map. */
export type Elements = (set: string) => readonly Json[] | undefined

const some: Condition = { kind: 'some' }
const never: Condition = { kind: 'never' }

/** The most values of a concatenation that are looked at one by one. */
const manyValues = 1000

/** The alternatives that a `match` has: it holds if all conditions of one of them do. */
export function matchAlternatives({ op, left, right }: Record<string, Json>, elements: Elements): Condition[][] {
  const key = left ?? null
  if (op !== '==' && op !== '!=' && op !== 'in') return [[isSource(key) ? source(false, false) : some]]
  const values =
    typeof right === 'string' && right.startsWith('@')
      ? elements(right.slice(1))
      : asArray(asObject(right)['set'] ?? right)
  if (values === undefined) return [[some]]
  if (asObject(key)['concat'] === undefined) return [valueConditions(key, values, op === '!=')]
  // That one of several parts differs says nothing of each.
  if (op === '!=' || values.length > manyValues) return [[some]]
  if (values.length === 0) return [asArray(asObject(key)['concat']).some(isSource) ? [source(true, false)] : [never]]
  return values.map(value => keyConditions(key, value))
}

/** The conditions under which a map's key has this value. */
export function keyConditions(key: Json, value: Json): Condition[] {
  const parts = asObject(key)['concat']
  if (parts === undefined) return valueConditions(key, [value], false)
  const values = asArray(asObject(value)['concat'])
  return asArray(parts).flatMap((part, i) => valueConditions(part, [values[i] ?? null], false))
}

const portProtocols: Readonly<Record<string, number>> = protocolNumbers

const source = (empty: boolean, not: boolean): Condition => ({ kind: 'source', empty, not })

/** The address from which a packet comes, also if only a part of it is compared. */
function isSource(key: Json): boolean {
  const [masked] = asArray(asObject(key)['&'])
  const { field } = asObject(asObject(masked ?? key)['payload'])
  return field === 'saddr'
}

function valueConditions(key: Json, values: readonly Json[], not: boolean): Condition[] {
  const { protocol, field } = asObject(asObject(key)['payload'])
  const meta = asObject(asObject(key)['meta'])['key']
  if (field === 'dport') {
    const own = portProtocols[asText(protocol)]
    const ranges = values.flatMap(rangeOf)
    const port: Condition = ranges.length === values.length ? { kind: 'port', ranges, not } : some
    return own === undefined ? [port] : [{ kind: 'protocol', numbers: [own], not: false }, port]
  }
  if (
    meta === 'l4proto' ||
    (protocol === 'ip' && field === 'protocol') ||
    (protocol === 'ip6' && field === 'nexthdr')
  ) {
    return [{ kind: 'protocol', numbers: values.map(value => portProtocols[asText(value)] ?? Number(value)), not }]
  }
  if (isSource(key)) return [sourceOf(asText(protocol), values, not)]
  if (field === 'daddr' && (protocol === 'ip' || protocol === 'ip6')) return destination(values, not)
  if (meta === 'iif' || meta === 'iifname') return inputInterface(values, not)
  if (meta === 'pkttype' && values.every(value => value === 'host')) return not ? [never] : []
  return connectionConditions(key, values, not)
}

/** The words of `ct status` that no connection has at its first packet from outside. */
const laterStatus: readonly Json[] = ['snat', 'seen-reply', 'assured', 'confirmed', 'dying']

function connectionConditions(key: Json, values: readonly Json[], not: boolean): Condition[] {
  const [masked] = asArray(asObject(key)['&'])
  const ct = asObject(asObject(masked ?? key)['ct'])['key']
  if (ct === 'state' && masked === undefined) {
    return values.flat().some(state => state === 'new' || state === 'untracked') === not ? [never] : []
  }
  if (ct === 'status') {
    const words = values.flat()
    if (words.includes('dnat')) return [{ kind: 'translated', not }]
    if (words.every(word => laterStatus.includes(word))) return not ? [] : [never]
  }
  if (ct === 'direction' && values.length === 1) return (values[0] === 'original') === not ? [never] : []
  const fib = asObject(asObject(key)['fib'])
  if (fib['result'] === 'type' && asArray(fib['flags']).includes('daddr') && values[0] === 'local')
    return not ? [never] : []
  return [some]
}

/** Of a part of the address, or of ranges, it is not known which sources are meant. */
function sourceOf(protocol: string, values: readonly Json[], not: boolean): Condition {
  const empty = values.length === 0
  const prefixes = values.flatMap(prefixOf)
  if ((protocol !== 'ip' && protocol !== 'ip6') || prefixes.length < values.length) return source(empty, not)
  return { kind: 'source', empty, not, version: protocol === 'ip' ? 4 : 6, prefixes }
}

function inputInterface(values: readonly Json[], not: boolean): Condition[] {
  if (!values.every(value => typeof value === 'string')) return [some]
  return [{ kind: 'interface', names: values, not }]
}

function destination(values: readonly Json[], not: boolean): Condition[] {
  const prefixes = values.flatMap(prefixOf)
  return [prefixes.length === values.length ? { kind: 'destination', prefixes, not } : some]
}

function prefixOf(value: Json): string[] {
  if (typeof value === 'string' && /^[0-9a-f.:]+$/i.test(value)) return [`${value}/${value.includes(':') ? 128 : 32}`]
  const { addr, len } = asObject(asObject(value)['prefix'])
  return typeof addr === 'string' && typeof len === 'number' ? [`${addr}/${len}`] : []
}

function rangeOf(value: Json): PortRange[] {
  const [first, last] = asArray(asObject(value)['range'] ?? value).map(Number)
  if (first === undefined || Number.isNaN(first)) return []
  return [{ first, last: last ?? first }]
}
