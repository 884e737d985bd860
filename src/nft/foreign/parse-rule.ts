/** One rule in nft's JSON, read for what it asks of a packet; what is not understood holds for some packets. */
import type { Json } from '../nft-json.js'
import { asArray, asObject, asText } from '../listing.js'
import type { Elements } from './read-conditions.js'
import { keyConditions, matchAlternatives } from './read-conditions.js'
import type { Action, Condition, Rule } from './rule.js'

/** A map makes several rules of one, and so does a set of concatenations. */
export function parseRule(expr: readonly Json[], elements: Elements): Rule[] {
  let alternatives: Condition[][] = [[]]
  const actions: Action[] = []
  const demand = (...conditions: Condition[]) => (alternatives = alternatives.map(one => [...one, ...conditions]))
  const rulesOf = (choices: readonly Rule[]) =>
    alternatives.flatMap(before =>
      choices.map(choice => ({
        conditions: [...before, ...choice.conditions],
        actions: [...actions, ...choice.actions],
      })),
    )
  for (const statement of expr) {
    const [name, body] = Object.entries(asObject(statement))[0] ?? ['', null]
    if (name === 'match') alternatives = both(alternatives, matchAlternatives(asObject(body), elements))
    else if (name === 'vmap') return rulesOf(verdictChoices(asObject(body), elements))
    else if (name === 'limit') demand({ kind: 'rate' })
    else if (name === 'quota' || name === 'ct count') demand({ kind: 'some' })
    else if (name === 'xt' && asObject(body)['type'] === 'match' && asObject(body)['name'] !== 'comment')
      demand({ kind: 'some' })
    else if (name === 'dnat' || name === 'redirect') return rulesOf(translationChoices(name, asObject(body), elements))
    else actions.push(...actionsOf(name, body))
  }
  return alternatives.map(conditions => ({ conditions, actions }))
}

/** The most alternatives of one rule. */
const manyAlternatives = 4000

function both(before: readonly Condition[][], more: readonly Condition[][]): Condition[][] {
  if (before.length * more.length > manyAlternatives) return before.map(one => [...one, { kind: 'some' }])
  return before.flatMap(one => more.map(other => [...one, ...other]))
}

/** The pairs of key and value of a map, named or written into the rule. */
function pairsOf({ data = null }: Record<string, Json>, elements: Elements): readonly [key: Json, value: Json][] {
  const pairs = typeof data === 'string' ? elements(data.replace(/^@/, '')) : asArray(asObject(data)['set'])
  return (pairs ?? []).map(pair => {
    const [key = null, value = null] = asArray(pair)
    return [key, value]
  })
}

function verdictChoices(map: Record<string, Json>, elements: Elements): Rule[] {
  return pairsOf(map, elements).map(([key, verdict]) => {
    const [name, target] = Object.entries(asObject(verdict))[0] ?? ['', null]
    return { conditions: keyConditions(map['key'] ?? null, key), actions: actionsOf(name, target) }
  })
}

/** Where `dnat` and `redirect` lead; a map in the place of the address or the port gives one choice for each key. */
function translationChoices(kind: 'dnat' | 'redirect', body: Record<string, Json>, elements: Elements): Rule[] {
  const { addr = null, port = null } = body
  const part = (value: Json) => asObject(value)['map']
  const map = part(addr) ?? part(port)
  if (map === undefined) return [{ conditions: [], actions: [translation(kind, addr, port)] }]
  const key = asObject(map)['key'] ?? null
  return pairsOf(asObject(map), elements).map(([value, target]) => {
    const [first = null, second = port] = asArray(asObject(target)['concat'] ?? target)
    const action = part(addr) === undefined ? translation(kind, addr, first) : translation(kind, first, second)
    // A choice by chance is for every packet.
    const isChance = ['numgen', 'jhash', 'symhash'].some(word => word in asObject(key))
    return { conditions: isChance ? [] : keyConditions(key, value), actions: [action] }
  })
}

function translation(kind: 'dnat' | 'redirect', address: Json, port: Json): Action {
  const number = typeof port === 'number' ? port : null
  if (kind === 'redirect') return { kind, port: number }
  return { kind, address: typeof address === 'string' ? address : null, port: number }
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
  if (target === 'DNAT') return [{ kind: 'dnat', address: null, port: null }]
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
