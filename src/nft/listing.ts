import type { Json } from './nft-json.js'
import { table } from './nft-json.js'

/** What `nft -j list` said about pkctl's table, sorted by kind. Unknown fields are left alone. */
export interface Listing {
  readonly present: boolean
  /** The kernel's number for the table; a table that is deleted and added again has another one. */
  readonly handle: number
  /** Whether the table has flags that pkctl does not give it: `dormant` disables all of its chains. */
  readonly flagged: boolean
  /** Whether the table outlives its owner: see table-flags.ts. */
  readonly persist: boolean
  /** The process that owns the table is another one, or it is this one: the kernel does not say which. */
  readonly owner: boolean
  /** The release of nft that listed it, such as `1.0.6`. */
  readonly release: string
  readonly chains: ReadonlyMap<string, ListedChain>
  readonly sets: ReadonlyMap<string, ListedSet>
  readonly maps: ReadonlyMap<string, ListedSet>
}

export interface ListedChain {
  readonly name: string
  readonly hook?: string
  /** Of a base chain: type, hook, priority and policy, such as `filter input -140 accept`. */
  readonly base?: string
  readonly rules: readonly ListedRule[]
}

export interface ListedRule {
  readonly handle: number
  readonly comment?: string
  readonly expr: readonly Json[]
}

export interface ListedSet {
  readonly name: string
  readonly elements: readonly ListedElement[]
}

export interface ListedElement {
  readonly value: Json
  /** Seconds of life given, and left; absent on elements that stay. */
  readonly timeout?: number
  readonly expires?: number
  readonly comment?: string
  /** Where an element of a verdict map leads. */
  readonly target?: string
}

export const emptyListing = (): Listing => ({
  present: false,
  handle: 0,
  flagged: false,
  persist: false,
  owner: false,
  release: '',
  chains: new Map(),
  sets: new Map(),
  maps: new Map(),
})

/** Reads nft's JSON leniently: its shape differs between releases in what is an array and what is not. */
export function parseListing(json: unknown): Listing {
  const chains = new Map<string, ListedChain & { rules: ListedRule[] }>()
  const sets = new Map<string, ListedSet>()
  const maps = new Map<string, ListedSet>()
  let present = false
  let handle = 0
  let flags: readonly string[] = []
  let release = ''
  for (const item of asArray(asObject(json)['nftables'])) {
    const [kind, body] = Object.entries(asObject(item))[0] ?? ['', null]
    const object = asObject(body)
    const name = asText(object['name'])
    if (kind === 'metainfo') release = asText(object['version'])
    // A listing of the whole ruleset has the tables of others as well.
    if (asText(kind === 'table' ? name : object['table']) !== table) continue
    if (kind === 'table') {
      present = true
      handle = Number(object['handle'] ?? 0)
      flags = asArray(object['flags']).map(asText)
    } else if (kind === 'chain') {
      const { hook, type, prio, policy } = object
      const base = [type, hook, prio, policy].map(asText).join(' ')
      chains.set(name, { name, ...(typeof hook === 'string' ? { hook, base } : {}), rules: [] })
    } else if (kind === 'rule') chains.get(asText(object['chain']))?.rules.push(rule(object))
    else if (kind === 'set') sets.set(name, { name, elements: asArray(object['elem']).map(element) })
    else if (kind === 'map') maps.set(name, { name, elements: asArray(object['elem']).map(element) })
  }
  return {
    present: present || sets.size + maps.size > 0,
    handle,
    flagged: flags.some(flag => flag !== 'owner' && flag !== 'persist'),
    persist: flags.includes('persist'),
    owner: flags.includes('owner'),
    ...{ release, chains, sets, maps },
  }
}

function rule(object: Record<string, Json>): ListedRule {
  const comment = object['comment']
  return {
    handle: Number(object['handle']),
    expr: asArray(object['expr']),
    ...(typeof comment === 'string' ? { comment } : {}),
  }
}

function element(json: Json): ListedElement {
  const [key, data] = Array.isArray(json) ? (json as [Json, Json]) : [json, null]
  const verdict = Object.values(asObject(data))[0]
  const target = asObject(verdict)['target']
  const wrapped = asObject(key)['elem']
  const attributes = wrapped === undefined ? {} : asObject(wrapped)
  const { timeout, expires, comment } = attributes
  return {
    value: wrapped === undefined ? key : (attributes['val'] ?? null),
    ...(typeof timeout === 'number' ? { timeout } : {}),
    ...(typeof expires === 'number' ? { expires } : {}),
    ...(typeof comment === 'string' ? { comment } : {}),
    ...(typeof target === 'string' ? { target } : {}),
  }
}

const elementsStart = 'elements = { '

/** The element in the text of `nft get element`: `elements = { 192.0.2.1 timeout 1h expires 59m59s976ms }`. */
export function parseElementText(text: string): ListedElement | undefined {
  // In two steps: one expression for all of it looks from each beginning for an end, which takes quadratic time.
  const comment = /\bcomment "([^"]*)"/.exec(text)?.[1]
  const plain = text.replace(/\bcomment "[^"]*"/g, '')
  const start = plain.indexOf(elementsStart)
  const end = plain.indexOf('}', start)
  if (start < 0 || end < 0) return undefined
  const [, value, attributes = ''] = /^(\S+)([^]*)/.exec(plain.slice(start + elementsStart.length, end)) ?? []
  if (value === undefined) return undefined
  const timeout = /\btimeout (\S+)/.exec(attributes)?.[1]
  const expires = /\bexpires (\S+)/.exec(attributes)?.[1]
  return {
    value,
    ...(timeout === undefined ? {} : { timeout: Math.floor(parseNftTime(timeout)) }),
    ...(expires === undefined ? {} : { expires: Math.floor(parseNftTime(expires)) }),
    ...(comment === undefined ? {} : { comment }),
  }
}

const secondsIn: Readonly<Record<string, number>> = { d: 86_400, h: 3600, m: 60, s: 1, ms: 0.001 }

/** Seconds of a time such as `1d2h3m4s5ms`. */
export function parseNftTime(text: string): number {
  const parts = [...text.matchAll(/(\d+)(ms|[dhms])/g)]
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (secondsIn[unit ?? ''] ?? 0), 0)
}

/** How many packets the counters of a rule have seen. */
export function packetsOf({ expr }: ListedRule): number {
  const counts = expr.map(one => Number(asObject(asObject(one)['counter'])['packets'] ?? 0))
  return counts.reduce((sum, count) => sum + count, 0)
}

/** A string or number as text; anything else is empty. */
export function asText(value: Json | undefined): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}

/** A lone value counts as an array of one: some nft releases drop the brackets. */
export function asArray(value: unknown): readonly Json[] {
  if (value === undefined || value === null) return []
  return Array.isArray(value) ? (value as Json[]) : [value as Json]
}

export function asObject(value: unknown): Record<string, Json> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, Json>) : {}
}
