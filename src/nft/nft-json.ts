/**
 * The small part of nft's JSON that pkctl writes (libnftables-json(5)), with names that say what an expression does.
 * Everything lives in one table, so the commands here never mention another.
 */

import type { IpFamily } from '../net/index.js'
import { bitsOf, netmask } from '../net/index.js'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** One statement or expression of a rule. */
export type Expression = Json

/** One command of a transaction: `add`, `create`, `insert`, `delete` or `flush`, and its object. */
export type Command = { readonly [verb in 'add' | 'create' | 'insert' | 'delete' | 'flush']?: Json }

const verbs = ['add', 'insert', 'delete', 'flush']

/** Whether it is a command, and about pkctl's table: one verb, one object, and the table of that. */
export function isOwnCommand(value: unknown): value is Command {
  const [[verb, object] = none, ...more] = entriesOf(value)
  const [[kind, body] = none, ...others] = entriesOf(object)
  const { family: itsFamily, [kind === 'table' ? 'name' : 'table']: itsTable } = Object.fromEntries(entriesOf(body))
  return verbs.includes(verb) && more.length + others.length === 0 && itsFamily === family && itsTable === table
}

const none: [string, unknown] = ['', undefined]

const entriesOf = (value: unknown): [string, unknown][] =>
  typeof value === 'object' && value !== null ? Object.entries(value) : []

export const family = 'inet'
export const table = 'pkctl'

const here = { family, table } as const
const ipName = (version: IpFamily) => (version === 4 ? 'ip' : 'ip6')

// ---- objects

export const addTable = (): Command => ({ add: { table: { family, name: table } } })
/** Fails where there is one. */
export const createTable = (): Command => ({ create: { table: { family, name: table } } })
export const deleteTable = (): Command => ({ delete: { table: { family, name: table } } })

export const addChain = (name: string): Command => ({ add: { chain: { ...here, name } } })
export const deleteChain = (name: string): Command => ({ delete: { chain: { ...here, name } } })
export const flushChain = (name: string): Command => ({ flush: { chain: { ...here, name } } })

export type Hook = 'input' | 'prerouting'

export const addBaseChain = (name: string, hook: Hook, prio: number): Command => ({
  add: { chain: { ...here, name, type: 'filter', hook, prio, policy: 'accept' } },
})

export const addRule = (chain: string, expr: readonly Expression[], comment?: string): Command => ({
  add: { rule: { ...here, chain, expr, ...(comment === undefined ? {} : { comment }) } },
})
/** Adds a rule before all others of its chain. */
export const insertRule = (chain: string, expr: readonly Expression[]): Command => ({
  insert: { rule: { ...here, chain, expr } },
})
export const deleteRule = (chain: string, handle: number): Command => ({ delete: { rule: { ...here, chain, handle } } })

export interface SetDefinition {
  readonly name: string
  readonly type: string | readonly string[]
  readonly flags?: readonly string[]
  readonly size?: number
  /** Seconds an element lives when its own timeout is not given. */
  readonly timeout?: number
  /** Seconds between two collections of expired elements, which until then count towards the size. */
  readonly gcInterval?: number
}

function definition(set: SetDefinition): { [key: string]: Json } {
  const { gcInterval, ...rest } = set
  return { ...here, ...rest, ...(gcInterval === undefined ? {} : { 'gc-interval': gcInterval }) }
}

export const addSet = (set: SetDefinition): Command => ({ add: { set: definition(set) } })
export const addVerdictMap = (map: SetDefinition): Command => ({ add: { map: { ...definition(map), map: 'verdict' } } })
export const deleteSet = (name: string): Command => ({ delete: { set: { ...here, name } } })
export const deleteMap = (name: string): Command => ({ delete: { map: { ...here, name } } })
export const flushSet = (name: string): Command => ({ flush: { set: { ...here, name } } })

export const addElements = (name: string, elem: readonly Json[]): Command => ({
  add: { element: { ...here, name, elem } },
})
export const deleteElements = (name: string, elem: readonly Json[]): Command => ({
  delete: { element: { ...here, name, elem } },
})

// ---- expressions

export const meta = (key: 'mark' | 'l4proto' | 'nfproto' | 'iifname' | 'iifkind'): Json => ({ meta: { key } })
export const field = (protocol: string, name: string): Json => ({ payload: { protocol, field: name } })
/** Bits of the transport header and what follows it; offset and length in bits. */
export const transportBits = (offset: number, len: number): Json => ({ payload: { base: 'th', offset, len } })
export const concat = (...parts: Json[]): Json => ({ concat: parts })
export const and = (left: Json, right: Json): Json => ({ '&': [left, right] })
export const or = (left: Json, right: Json): Json => ({ '|': [left, right] })

/** The source address, masked to `prefix` bits. */
export function source(version: IpFamily, prefix: number = bitsOf(version)): Json {
  const address = field(ipName(version), 'saddr')
  return prefix === bitsOf(version) ? address : and(address, netmask(version, prefix))
}

// ---- statements

export const match = (left: Json, op: '==' | '!=', right: Json): Expression => ({ match: { op, left, right } })
export const inSet = (left: Json, set: string): Expression => match(left, '==', `@${set}`)
export const anyOf = (left: Json, values: readonly Json[]): Expression => match(left, '==', { set: values })
export const counter = (): Expression => ({ counter: { packets: 0, bytes: 0 } })
export const accept = (): Expression => ({ accept: null })
export const drop = (): Expression => ({ drop: null })
export const return_ = (): Expression => ({ return: null })
export const jump = (target: string): Expression => ({ jump: { target } })
export const goto = (target: string): Expression => ({ goto: { target } })
export const vmap = (key: Json, map: string): Expression => ({ vmap: { key, data: `@${map}` } })
export const setMark = (value: Json): Expression => ({ mangle: { key: meta('mark'), value } })

export interface LimitRate {
  readonly count: number
  readonly unit: 'second' | 'minute' | 'hour' | 'day' | 'week'
}

/** Matches while the rate is kept to; with `over`, matches what exceeds it. */
export const limit = (rate: LimitRate, burst: number, over = false): Json => ({
  limit: { rate: rate.count, per: rate.unit, burst, ...(over ? { inv: true } : {}) },
})

/** Adds or refreshes an element; the timeout is in seconds, and unlike `add` it restarts a running one. */
export const updateSet = (set: string, key: Json, timeout: number, stmt?: readonly Json[]): Expression => ({
  set: { op: 'update', elem: { elem: { val: key, timeout } }, set: `@${set}`, ...(stmt ? { stmt } : {}) },
})
/** Adds an element, without a time limit if no timeout is given, and leaves one that is there as it is. */
export const addToSet = (set: string, key: Json, timeout?: number, stmt?: readonly Json[]): Expression => {
  const elem = timeout === undefined ? key : { elem: { val: key, timeout } }
  return { set: { op: 'add', elem, set: `@${set}`, ...(stmt ? { stmt } : {}) } }
}
export const deleteFromSet = (set: string, key: Json): Expression => ({
  set: { op: 'delete', elem: key, set: `@${set}` },
})
