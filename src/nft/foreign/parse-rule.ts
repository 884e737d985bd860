/** One rule in nft's JSON, read for what it asks of a packet; what is not understood holds for some packets. */
import type { PortRange } from '../../net/index.js'
import { protocolNumbers } from '../../net/index.js'
import type { Json } from '../json.js'
import { asArray, asObject, asText } from '../listing.js'
import type { Action, Condition, Rule } from './rule.js'

type Elements = (set: string) => readonly Json[] | undefined

const some: Condition = { kind: 'some' }
const never: Condition = { kind: 'never' }

/** A verdict map makes several rules of one. */
export function readRule(expr: readonly Json[], elements: Elements): Rule[] {
  const conditions: Condition[] = []
  const actions: Action[] = []
  for (const statement of expr) {
    const [name, body] = Object.entries(asObject(statement))[0] ?? ['', null]
    if (name === 'match') conditions.push(...matchConditions(asObject(body), elements))
    else if (name === 'vmap') return vmapRules(asObject(body), elements, conditions)
    else if (name === 'limit' || name === 'quota' || name === 'ct count') conditions.push(some)
    else if (name === 'xt' && asObject(body)['type'] === 'match' && asObject(body)['name'] !== 'comment')
      conditions.push(some)
    else actions.push(...actionsOf(name, body))
  }
  return [{ conditions, actions }]
}

function vmapRules(body: Record<string, Json>, elements: Elements, before: readonly Condition[]): Rule[] {
  const data = body['data'] ?? null
  const pairs = typeof data === 'string' ? elements(data.replace(/^@/, '')) : asArray(asObject(data)['set'])
  return (pairs ?? []).flatMap(pair => {
    const [key, verdict] = asArray(pair)
    const [name, target] = Object.entries(asObject(verdict))[0] ?? ['', null]
    const conditions = [...before, ...keyConditions(body['key'] ?? null, key ?? null)]
    return [{ conditions, actions: actionsOf(name, target) }]
  })
}

function keyConditions(key: Json, value: Json): Condition[] {
  const parts = asObject(key)['concat']
  if (parts === undefined) return valueConditions(key, [value], false)
  const values = asArray(asObject(value)['concat'])
  return asArray(parts).flatMap((part, i) => valueConditions(part, [values[i] ?? null], false))
}

function matchConditions({ op, left, right }: Record<string, Json>, elements: Elements): Condition[] {
  if (op !== '==' && op !== '!=' && op !== 'in') return [some]
  const values =
    typeof right === 'string' && right.startsWith('@')
      ? elements(right.slice(1))
      : asArray(asObject(right)['set'] ?? right)
  if (values === undefined) return [some]
  const key = left ?? null
  if (asObject(key)['concat'] === undefined) return valueConditions(key, values, op === '!=')
  // Of a concatenation with one value all parts are known; with several each one alone does not say.
  return values.length === 1 && op !== '!=' ? keyConditions(key, values[0] ?? null) : [some]
}

const portProtocols: Readonly<Record<string, number>> = protocolNumbers

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
  if (asObject(asObject(key)['ct'])['key'] === 'state') {
    return values.flat().some(state => state === 'new' || state === 'untracked') === not ? [never] : []
  }
  if ((meta === 'iif' || meta === 'iifname') && values.length === 1 && values[0] === 'lo') return not ? [] : [never]
  const fib = asObject(asObject(key)['fib'])
  if (fib['result'] === 'type' && asArray(fib['flags']).includes('daddr') && values[0] === 'local')
    return not ? [never] : []
  return [some]
}

function rangeOf(value: Json): PortRange[] {
  const [first, last] = asArray(asObject(value)['range'] ?? value).map(Number)
  if (first === undefined || Number.isNaN(first)) return []
  return [{ first, last: last ?? first }]
}

function actionsOf(name: string, body: Json): Action[] {
  const object = asObject(body)
  switch (name) {
    case 'accept':
    case 'drop':
    case 'return':
      return [{ kind: name }]
    case 'reject':
      return [{ kind: 'drop' }]
    case 'jump':
    case 'goto':
      return [{ kind: name, chain: asText(object['target']) }]
    case 'dnat':
    case 'redirect':
      return [{ kind: name, port: typeof object['port'] === 'number' ? object['port'] : null }]
    case 'queue':
      return [{ kind: 'queue', number: typeof object['num'] === 'number' ? object['num'] : null }]
    case 'mangle':
      return asObject(asObject(object['key'])['meta'])['key'] === 'mark'
        ? [{ kind: 'mark', bits: bitsSetBy(object['value'] ?? null) }]
        : []
    case 'xt':
      return xtActions(asText(object['name']))
    default:
      return []
  }
}

// nft shows of an extension of iptables no more than its name.
function xtActions(target: string): Action[] {
  if (target === 'REJECT') return [{ kind: 'drop' }]
  if (target === 'DNAT') return [{ kind: 'dnat', port: null }]
  if (target === 'REDIRECT') return [{ kind: 'redirect', port: null }]
  return target === 'NFQUEUE' ? [{ kind: 'queue', number: null }] : []
}

const allBits = 0xffffffff

/** The bits that can be 1 afterwards and need not have been before. */
function bitsSetBy(value: Json): number {
  if (typeof value === 'number') return value
  const [operator, operands] = Object.entries(asObject(value))[0] ?? ['', null]
  const [left, right] = asArray(operands)
  if (operator === 'meta') return 0
  if (left === undefined || right === undefined) return allBits
  const [a, b] = [bitsSetBy(left), bitsSetBy(right)]
  if (operator === '&') return (a & b) >>> 0
  return operator === '|' || operator === '^' ? (a | b) >>> 0 : allBits
}
