/**
 * The kernel's ruleset, as far as pkctl uses it, in memory: interprets the same commands, refuses what the kernel
 * refuses, and lists itself in nft's own JSON, so that the code that reads it is tried as well.
 *
 * It is stricter than some kernels in one thing: a chain with rules is never deleted.
 */
import { bitsOf, canonicalAddress, familyOf, maskAddress } from '../../src/net/addresses.js'
import { nftErrorFrom } from '../../src/nft/nft-errors.js'
import type { Command, Json } from '../../src/nft/nft-json.js'
import type { ListedElement, Listing } from '../../src/nft/listing.js'
import { asArray, asObject, asText, emptyListing, parseListing } from '../../src/nft/listing.js'
import type { Nft } from '../../src/nft/nft.js'
import type { RulesetAccess } from '../../src/nft/ruleset-access.js'
import type { IptablesQueue } from '../../src/nft/table/iptables-queue.js'
import type { MarkMatch } from '../../src/nft/table/marks.js'

interface Body {
  readonly [key: string]: Json
}

interface FakeRule {
  readonly handle: number
  readonly body: Body
}

interface FakeChain {
  readonly body: Body
  readonly rules: FakeRule[]
}

interface FakeElement {
  readonly value: Json
  readonly data?: Json
  readonly timeout?: number
  readonly expiresAt?: number
  readonly comment?: string
}

interface FakeSet {
  readonly kind: 'set' | 'map'
  readonly body: Body
  readonly elements: Map<string, FakeElement>
}

interface Model {
  /** Its number; 0 when there is none. */
  table: number
  tables: number
  handle: number
  readonly chains: Map<string, FakeChain>
  readonly sets: Map<string, FakeSet>
}

const failures = {
  missing: 'No such file or directory',
  busy: 'Device or resource busy',
  exists: 'File exists',
  full: 'Too many open files in system',
  invalid: 'Invalid argument',
} as const

/** Ends the transaction with the words of the real nft. */
function fail(reason: keyof typeof failures, what: string): never {
  throw nftErrorFrom('nft', `internal:0:0-0: Error: Could not process rule: ${failures[reason]}\n\n${what}\n`)
}

export interface FakeOptions {
  /** Seconds. */
  readonly now?: () => number
  /** Whether the kernel has the `queue` statement. */
  readonly queueStatement?: boolean
}

/** Undone, or merely checked, such a transaction leaves chains on Linux 6.1 that can never be deleted again. */
function refuseDoubleDeletion(commands: readonly Command[]): void {
  const emptied = new Set<string>()
  for (const command of commands) {
    const { map, element, table } = asObject(command['delete'])
    const gone = map === undefined ? undefined : asText(asObject(map)['name'])
    if (gone !== undefined ? emptied.has(gone) : table !== undefined && emptied.size > 0) {
      throw new Error(`the elements of ${gone ?? 'a map'} are deleted, and then the map as well`)
    }
    const target = asObject(element ?? asObject(command['flush'])['map'])
    const isVerdict = asArray(target['elem'] ?? []).some(one => Array.isArray(one))
    if (target['name'] !== undefined && (element === undefined || isVerdict)) emptied.add(asText(target['name']))
  }
}

export class FakeNft implements Nft {
  /** The transactions that were applied. */
  readonly applied: (readonly Command[])[] = []
  readonly #now: () => number
  readonly #queueStatement: boolean
  #model: Model = { table: 0, tables: 0, handle: 0, chains: new Map(), sets: new Map() }

  constructor({ now = () => Date.now() / 1000, queueStatement = true }: FakeOptions = {}) {
    this.#now = now
    this.#queueStatement = queueStatement
  }

  async apply(commands: readonly Command[]): Promise<void> {
    refuseDoubleDeletion(commands)
    if (commands.length === 0) return
    this.#model = await this.#tried(commands)
    this.applied.push(commands)
  }

  async check(commands: readonly Command[]): Promise<void> {
    refuseDoubleDeletion(commands)
    await this.#tried(commands)
  }

  list({ elements = true } = {}): Promise<Listing> {
    const { table, chains, sets } = this.#model
    if (table === 0) return Promise.resolve(emptyListing())
    const rules = [...chains.values()].flatMap(chain => chain.rules)
    return Promise.resolve(
      parse([
        { metainfo: { version: '1.0.6', release_name: 'Lester Gooch #5', json_schema_version: 1 } },
        { table: { family: 'inet', name: 'pkctl', handle: table } },
        ...[...chains.values()].map(({ body }) => ({ chain: body })),
        ...[...sets.values()].map(set => this.#listed(set, elements)),
        ...rules.map(({ handle, body }) => ({ rule: { ...body, handle } })),
      ]),
    )
  }

  listSet(kind: 'set' | 'map', name: string): Promise<Listing> {
    const set = this.#model.sets.get(name)
    return Promise.resolve(set?.kind === kind ? parse([this.#listed(set, true)]) : emptyListing())
  }

  getElement(set: string, value: string): Promise<ListedElement | undefined> {
    const there = this.#model.sets.get(set)
    if (there?.kind !== 'set') return Promise.resolve(undefined)
    const { key } = readElement(value, 'set')
    const element = there.elements.get(key)
    if (!element || !this.#lives(element)) return Promise.resolve(undefined)
    const listing = parse([this.#listed({ ...there, elements: new Map([[key, element]]) }, true)])
    return Promise.resolve(listing.sets.get(set)?.elements[0])
  }

  #listed({ kind, body, elements }: FakeSet, withElements: boolean): Json {
    const elem = [...elements.values()].filter(element => this.#lives(element)).map(element => this.#shown(element))
    return { [kind]: withElements && elem.length > 0 ? { ...body, elem } : body }
  }

  #shown({ value, data, timeout, expiresAt, comment }: FakeElement): Json {
    const expires = Math.floor((expiresAt ?? 0) - this.#now())
    const more = {
      ...(timeout === undefined ? {} : { timeout, expires }),
      ...(comment === undefined ? {} : { comment }),
    }
    const key = Object.keys(more).length === 0 ? shownValue(value) : { elem: { val: shownValue(value), ...more } }
    return data === undefined ? key : [key, data]
  }

  readonly #lives = ({ expiresAt = Infinity }: FakeElement) => expiresAt > this.#now()

  #tried(commands: readonly Command[]): Promise<Model> {
    const model = structuredClone(this.#model)
    return new Promise(resolve => {
      // As by the real nft, what cannot be written as JSON is not there.
      for (const command of JSON.parse(JSON.stringify(commands)) as Command[]) this.#run(model, command)
      resolve(model)
    })
  }

  #run(model: Model, command: Command): void {
    const [verb, object] = Object.entries(command)[0] as [string, Json]
    const [kind, json] = Object.entries(asObject(object))[0] as [string, Json]
    const body = asObject(json)
    if (body['family'] !== 'inet' || asText(body[kind === 'table' ? 'name' : 'table']) !== 'pkctl') {
      throw new Error(`pkctl has no business in ${JSON.stringify(body)}`)
    }
    if (kind !== 'table' && model.table === 0) fail('missing', 'table pkctl')
    const action = this.#actions[`${verb} ${kind}`]
    if (!action) throw new Error(`the fake does not know ${verb} ${kind}`)
    action(model, body, asText(body['name']))
  }

  readonly #actions: Readonly<Record<string, (model: Model, body: Body, name: string) => void>> = {
    'add table': model => {
      if (model.table === 0) model.table = ++model.tables
    },
    'delete table': model => {
      if (model.table === 0) fail('missing', 'table pkctl')
      model.table = 0
      model.chains.clear()
      model.sets.clear()
    },
    'add chain': ({ chains }, body, name) => {
      const there = chains.get(name)
      if (!there) chains.set(name, { body, rules: [] })
      else if (there.body['hook'] !== body['hook'] || there.body['prio'] !== body['prio'])
        fail('exists', `chain ${name}`)
    },
    'flush chain': (model, _, name) => (chainOf(model, name).rules.length = 0),
    'delete chain': (model, _, name) => {
      if (chainOf(model, name).rules.length > 0 || leadTo(model, name)) fail('busy', `chain ${name}`)
      model.chains.delete(name)
    },
    'add set': ({ sets }, body, name) => addSet(sets, 'set', body, name),
    'add map': ({ sets }, body, name) => addSet(sets, 'map', body, name),
    'delete set': (model, _, name) => deleteSet(model, 'set', name),
    'delete map': (model, _, name) => deleteSet(model, 'map', name),
    'flush set': (model, _, name) => setOf(model, name, 'set').elements.clear(),
    'flush map': (model, _, name) => setOf(model, name, 'map').elements.clear(),
    'add element': (model, { elem }, name) => {
      for (const json of asArray(elem)) this.#addElement(model, setOf(model, name), json)
    },
    'delete element': (model, { elem }, name) => {
      const { kind, elements } = setOf(model, name)
      for (const json of asArray(elem)) {
        const { key } = readElement(json, kind)
        const there = elements.get(key)
        if (!there || !this.#lives(there)) fail('missing', `element ${key} of ${name}`)
        elements.delete(key)
      }
    },
    'add rule': (model, body) => {
      const { rules } = chainOf(model, asText(body['chain']))
      this.#checkReferences(model, asArray(body['expr']))
      rules.push({ handle: ++model.handle, body })
    },
    'insert rule': (model, body) => {
      const { rules } = chainOf(model, asText(body['chain']))
      this.#checkReferences(model, asArray(body['expr']))
      rules.unshift({ handle: ++model.handle, body })
    },
    'delete rule': (model, body) => {
      const { rules } = chainOf(model, asText(body['chain']))
      const index = rules.findIndex(({ handle }) => handle === body['handle'])
      if (index < 0) fail('missing', `rule with handle ${asText(body['handle'])}`)
      rules.splice(index, 1)
    },
  }

  #addElement(model: Model, { kind, body, elements }: FakeSet, json: Json): void {
    const { key, value, data, timeout = body['timeout'], expires, comment } = readElement(json, kind)
    if (data !== undefined && !targetsOf(data).every(chain => model.chains.has(chain))) fail('missing', key)
    const flags = asArray(body['flags'])
    if (timeout !== undefined && !flags.includes('timeout')) fail('invalid', `timeout of ${key}`)
    const there = elements.get(key)
    if (there && this.#lives(there)) {
      if (JSON.stringify(there.data) !== JSON.stringify(data)) fail('exists', key)
      return // and its time runs on as it did
    }
    const others = [...elements.values()].filter(other => other !== there)
    if (flags.includes('interval') && others.some(other => overlap(other.value, value))) fail('exists', key)
    if (others.length >= Number(body['size'] ?? Infinity)) fail('full', key)
    // nft leaves out an `expires` of 0, and the kernel then gives the whole timeout.
    const life = expires === undefined || expires === 0 ? timeout : expires
    const limits = timeout === undefined ? {} : { timeout: Number(timeout), expiresAt: this.#now() + Number(life) }
    const said = typeof comment === 'string' ? { comment } : {}
    elements.set(key, { value, ...(data === undefined ? {} : { data }), ...limits, ...said })
  }

  #checkReferences(model: Model, expr: readonly Json[]): void {
    for (const chain of targetsOf(expr)) if (!model.chains.has(chain)) fail('missing', `chain ${chain}`)
    for (const name of setsIn(expr)) if (!model.sets.has(name)) fail('missing', `set ${name}`)
    if (!this.#queueStatement && JSON.stringify(expr).includes('"queue":')) fail('missing', 'queue')
  }
}

const parse = (nftables: readonly Json[]) => parseListing(JSON.parse(JSON.stringify({ nftables })))

const chainOf = ({ chains }: Model, name: string): FakeChain => chains.get(name) ?? fail('missing', `chain ${name}`)

function setOf({ sets }: Model, name: string, kind?: 'set' | 'map'): FakeSet {
  const set = sets.get(name)
  return set && (!kind || set.kind === kind) ? set : fail('missing', `set ${name}`)
}

function addSet(sets: Map<string, FakeSet>, kind: 'set' | 'map', body: Body, name: string): void {
  const there = sets.get(name)
  if (!there) sets.set(name, { kind, body, elements: new Map() })
  else if (there.kind !== kind || JSON.stringify(there.body['type']) !== JSON.stringify(body['type']))
    fail('exists', `${kind} ${name}`)
}

function deleteSet(model: Model, kind: 'set' | 'map', name: string): void {
  setOf(model, name, kind)
  const rules = [...model.chains.values()].flatMap(chain => chain.rules)
  if (rules.some(({ body }) => setsIn(asArray(body['expr'])).includes(name))) fail('busy', `${kind} ${name}`)
  model.sets.delete(name)
}

/** Whether any rule, or element of a map, leads to the chain. */
function leadTo({ chains, sets }: Model, name: string): boolean {
  const rules = [...chains.values()].flatMap(chain => chain.rules.map(({ body }) => body['expr'] ?? null))
  const verdicts = [...sets.values()].flatMap(set => [...set.elements.values()].map(({ data }) => data ?? null))
  return [...rules, ...verdicts].some(json => targetsOf(json).includes(name))
}

/** Every string that stands for `key` anywhere inside. */
function stringsIn(json: Json, key?: string): [string | undefined, string][] {
  if (typeof json === 'string') return [[key, json]]
  if (Array.isArray(json)) return (json as Json[]).flatMap(item => stringsIn(item, key))
  return Object.entries(asObject(json)).flatMap(([name, value]) => stringsIn(value, name))
}

const targetsOf = (json: Json) => stringsIn(json).flatMap(([key, text]) => (key === 'target' ? [text] : []))
const setsIn = (json: Json) => stringsIn(json).flatMap(([, text]) => (text.startsWith('@') ? [text.slice(1)] : []))

// ---- elements

interface ReadElement {
  readonly key: string
  readonly value: Json
  readonly data?: Json
  readonly timeout?: Json
  readonly expires?: Json
  readonly comment?: Json
}

function readElement(json: Json, kind: 'set' | 'map'): ReadElement {
  const [left, data] = kind === 'map' ? (json as [Json, Json]) : [json]
  const { val, timeout, expires, comment } = asObject(asObject(left)['elem'])
  const value = canonical(val ?? left)
  return {
    key: JSON.stringify(value),
    value,
    ...(data === undefined ? {} : { data }),
    ...(timeout === undefined ? {} : { timeout }),
    ...(expires === undefined ? {} : { expires }),
    ...(comment === undefined ? {} : { comment }),
  }
}

/** One spelling for what is the same element. */
function canonical(value: Json): Json {
  if (typeof value === 'string') return canonicalAddress(value)
  const { addr, len } = asObject(asObject(value)['prefix'])
  if (addr === undefined) return value
  const address = maskAddress(asText(addr), Number(len))
  return Number(len) === bitsOf(familyOf(address)) ? address : { prefix: { addr: address, len: Number(len) } }
}

const protocolNames: Readonly<Record<number, string>> = { 6: 'tcp', 17: 'udp', 33: 'dccp', 132: 'sctp', 136: 'udplite' }

/** nft lists protocols by name, where it knows one. */
function shownValue(value: Json): Json {
  const { concat } = asObject(value)
  if (concat === undefined) return value
  const [protocol, ...rest] = asArray(concat)
  return { concat: [protocolNames[Number(protocol)] ?? protocol ?? null, ...rest] }
}

const isRange = (value: Json) => typeof value === 'number' || asObject(value)['range'] !== undefined

function overlap(a: Json, b: Json): boolean {
  const portsOf = (value: Json) => asArray(asObject(value)['concat'] ?? (isRange(value) ? ['', value] : []))
  const [protocol, ports] = portsOf(a)
  const [otherProtocol, otherPorts] = portsOf(b)
  if (ports !== undefined && otherPorts !== undefined) {
    const ends = (range: Json) => asArray(asObject(range)['range'] ?? range).map(Number)
    const [first = 0, last = first] = ends(ports)
    const [otherFirst = 0, otherLast = otherFirst] = ends(otherPorts)
    return protocol === otherProtocol && first <= otherLast && otherFirst <= last
  }
  const prefixOf = (json: Json) => {
    const { addr, len } = asObject(asObject(json)['prefix'])
    const address = asText(addr ?? json)
    return { address, length: Number(len ?? bitsOf(familyOf(address))) }
  }
  const [left, right] = [prefixOf(a), prefixOf(b)]
  const length = Math.min(left.length, right.length)
  return (
    familyOf(left.address) === familyOf(right.address) &&
    maskAddress(left.address, length) === maskAddress(right.address, length)
  )
}

/** A ruleset of its own, without a lock. */
export const fakeRuleset = (nft: Nft = new FakeNft()): RulesetAccess => ({
  nft,
  iptablesQueue: new FakeIptablesQueue(),
  exclusive: work => work(),
  tableNote: { originOf: () => 'own', keep: () => undefined },
})

/** Records what it is asked for. */
export class FakeIptablesQueue implements IptablesQueue {
  readonly calls: string[] = []

  install(hook: string, { value }: MarkMatch, queue: number): Promise<boolean> {
    this.calls.push(`install ${hook} 0x${value.toString(16)} ${queue}`)
    return Promise.resolve(true)
  }

  remove(): Promise<void> {
    this.calls.push('remove')
    return Promise.resolve()
  }
}

/** Nothing waits to close ports. */
export const noStandby = { keep: () => undefined, closePorts: () => Promise.resolve(false), stop: () => undefined }
