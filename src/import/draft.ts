/**
 * A configuration in the making: what an importer has understood, and in comments what it has not. Importers say which
 * ports a credential opens; which services that makes is found at the end, because no two may have a port in common.
 */
import type { SecretOption } from '../config/secrets.js'
import { namePattern } from '../config/values.js'
import type { PortRange } from '../net/ports.js'
import { formatPortRange, mergePorts } from '../net/ports.js'
import { oneLine } from '../util/text.js'
import { UserError } from '../util/user-error.js'
import type { Protocol } from './service-ports.js'
import { formatServicePorts, serviceNameFor } from './service-ports.js'

export type Reject = 'drop' | 'reset' | 'icmp'
/** Seconds, or without end. */
export type Window = number | 'unlimited'

/** Ports that a knock opens. */
export interface OpenedPorts {
  readonly protocol: Protocol
  readonly ports: readonly PortRange[]
  readonly window?: Window
  readonly reject?: Reject
}

export interface TriggerDraft {
  readonly command?: readonly string[]
  readonly command6?: readonly string[]
  readonly shell?: string
  readonly shell6?: string
  readonly user?: string
  readonly timeout?: number
}

export interface CredentialDraft {
  /** As it was called there. */
  readonly name: string
  /** In the order in which they shall stand, `type` first; without those below. */
  readonly options: Readonly<Record<string, unknown>>
  readonly secrets?: Readonly<Partial<Record<SecretOption, string>>>
  readonly opens?: readonly OpenedPorts[]
  /** Services that the configuration need not have. */
  readonly named?: readonly string[]
  /** Where it opens no ports, or only named ones. */
  readonly window?: Window
  readonly onOpen?: TriggerDraft
  readonly onExpiry?: TriggerDraft
  /** Ports that a knock closes again. */
  readonly closes?: readonly OpenedPorts[]
  /** The same for a service by its name. */
  readonly closesNamed?: readonly string[]
  readonly notes?: readonly Note[]
}

/** A comment, and with `warning` a line on stderr as well, for what is left out or not as it was. */
export interface Note {
  readonly text: string
  readonly warning: boolean
}

export const remark = (text: string): Note => ({ text, warning: false })
export const caution = (text: string): Note => ({ text, warning: true })

/** knockd and its like run as root; the daemon of the packages does not. */
export const rightsOfCommands =
  'under the units of the packages, commands are run as the user pkctl, with CAP_NET_ADMIN alone, on a read-only system: ' +
  'what needs root or another user fails (docs/installation.md, commands on a knock)'

export interface DraftEntry {
  readonly name: string
  readonly options: Readonly<Record<string, unknown>>
  readonly secrets: Readonly<Partial<Record<SecretOption, string>>>
  readonly notes: readonly Note[]
}

/** What is printed: comments and entries, whose names are valid and unique. */
export interface ImportResult {
  readonly notes: readonly Note[]
  readonly settings: ReadonlyMap<string, unknown>
  readonly services: readonly DraftEntry[]
  readonly credentials: readonly DraftEntry[]
}

/** More than anybody has, and what a hostile file can make us do stays small. */
const maxEntries = 1000
const maxNotes = 200

export const maxWindow = 31_536_000

export class Draft {
  readonly #notes: Note[] = []
  #omitted = 0
  readonly #settings = new Map<string, unknown>()
  readonly #services: (DraftEntry & { protocol: Protocol; ports: readonly PortRange[] })[] = []
  readonly #credentials: CredentialDraft[] = []
  #openings = 0

  remark(text: string): void {
    this.#note(remark(text))
  }

  caution(text: string): void {
    this.#note(caution(text))
  }

  #note(note: Note): void {
    if (this.#notes.length < maxNotes) this.#notes.push(note)
    else this.#omitted++
  }

  set(option: string, value: unknown): void {
    this.#settings.set(option, value)
  }

  /** A service that has its own name; false where its ports belong to an earlier one, whose name `taken` is told. */
  service(
    name: string,
    protocol: Protocol,
    ports: readonly PortRange[],
    options: Readonly<Record<string, unknown>>,
    notes: readonly Note[],
  ): string | undefined {
    const taken = this.#services.find(
      one => one.name === name || (one.protocol === protocol && overlap(one.ports, ports)),
    )
    if (taken) return taken.name
    this.#services.push({ name, protocol, ports, options: { port: portValue(ports), ...options }, secrets: {}, notes })
    bound(this.#services.length)
    return undefined
  }

  credential(credential: CredentialDraft): void {
    this.#credentials.push(credential)
    this.#openings += credential.opens?.length ?? 0
    bound(this.#credentials.length + this.#openings)
  }

  finish(): ImportResult {
    const taken = new Names(this.#credentials.flatMap(({ named = [] }) => named))
    for (const { name } of this.#services) taken.reserve(name)
    const made = servicesFor(this.#credentials, taken)
    const names = new Names()
    const credentials = this.#credentials.map((credential, i) => entryOf(credential, i, made, names))
    const more = this.#omitted > 0 ? [caution(`… and ${this.#omitted} more of these`)] : []
    return {
      notes: [...this.#notes, ...more],
      settings: this.#settings,
      services: [...this.#services, ...made.map(({ entry }) => entry)],
      credentials,
    }
  }
}

/** Throws where there are too many. */
export function bound(entries: number): void {
  if (entries <= maxEntries) return
  throw new UserError(`there are more than ${maxEntries} services and credentials in it`, 'import it in parts')
}

const overlap = (some: readonly PortRange[], others: readonly PortRange[]) =>
  some.some(one => others.some(other => one.first <= other.last && other.first <= one.last))

function portValue(ports: readonly PortRange[]): unknown {
  const values = ports.map(({ first, last }) => (first === last ? first : formatPortRange({ first, last })))
  return values.length === 1 ? values[0] : values
}

// ---- names

/** Gives out names that are valid and that nobody else has. */
export class Names {
  readonly #taken = new Set<string>()
  readonly #next = new Map<string, number>()

  constructor(reserved: readonly string[] = []) {
    for (const name of reserved) this.reserve(name)
  }

  reserve(name: string): void {
    this.#taken.add(name)
  }

  make(wanted: string, otherwise = 'unnamed'): string {
    const base = validName(wanted) || otherwise
    let name = base
    for (let number = this.#next.get(base) ?? 2; this.#taken.has(name); number++) {
      name = `${base.slice(0, 40 - String(number).length - 1)}-${number}`
      this.#next.set(base, number + 1)
    }
    this.#taken.add(name)
    return name
  }
}

function validName(text: string): string {
  const name = text
    .slice(0, 200)
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[^A-Za-z0-9_-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 40)
    .replace(/-+$/, '')
  return namePattern.test(name) ? name : ''
}

// ---- services

interface Made {
  readonly entry: DraftEntry
  readonly protocol: Protocol
  readonly ports: readonly PortRange[]
  /** Those that open it, as indices, with what they said of it; more than once where several rules are one here. */
  readonly users: ReadonlyMap<number, readonly OpenedPorts[]>
  readonly window: number | undefined
}

/** Services so that each port is in one, and ports that are opened by the same are in the same. */
function servicesFor(credentials: readonly CredentialDraft[], names: Names): Made[] {
  const openings = credentials.flatMap(({ opens = [] }, user) => opens.map(opening => ({ opening, user })))
  const uniform = credentials.map(({ opens = [] }) => new Set(opens.map(({ window }) => window)).size <= 1)
  return (['tcp', 'udp', 'sctp'] as const).flatMap(protocol =>
    divide(
      openings.map(({ opening }, id) => (opening.protocol === protocol ? { id, ports: opening.ports } : null)),
    ).map(({ ids, ports }): Made => {
      const users = new Map<number, OpenedPorts[]>()
      for (const id of ids) {
        const { user, opening } = openings[id] as (typeof openings)[number]
        users.set(user, [...(users.get(user) ?? []), opening])
      }
      const notes: Note[] = []
      const said = [...users].flatMap(([user, all]) =>
        all.map(({ window, reject = 'drop' }) => ({ user, window, reject })),
      )
      const rejects = new Set(said.map(({ reject }) => reject))
      const reject = rejects.size > 1 ? 'drop' : ([...rejects][0] ?? 'drop')
      if (rejects.size > 1) {
        const ways = said
          .slice(0, 5)
          .map(({ user, reject }) => `${reject} by ${shorten(credentials[user]?.name ?? '')}`)
        const what = formatServicePorts(protocol, ports)
        notes.push(caution(`${what} is refused in different ways there (${ways.join(', ')}); here it is dropped`))
      }
      // Only where a credential cannot say it itself.
      const windows = new Set(said.filter(({ user }) => !uniform[user]).map(({ window }) => window))
      const [window] = windows
      const own = windows.size === 1 && typeof window === 'number' ? window : undefined
      const entry = {
        name: names.make(serviceNameFor(protocol, ports)),
        options: {
          port: portValue(ports),
          ...(protocol === 'tcp' ? {} : { protocol }),
          ...(reject === 'drop' ? {} : { reject }),
          ...(own === undefined ? {} : { window: own }),
        },
        secrets: {},
        notes,
      }
      return { entry, protocol, ports, users, window: own }
    }),
  )
}

/** Cuts lists of ports, each with its index as id, into parts; the ports of a part are in the same lists. */
function divide(lists: readonly ({ id: number; ports: readonly PortRange[] } | null)[]) {
  const changes = new Map<number, { begin: number[]; end: number[] }>()
  const at = (port: number) => {
    const change = changes.get(port) ?? { begin: [], end: [] }
    changes.set(port, change)
    return change
  }
  for (const list of lists) {
    for (const { first, last } of mergePorts(list?.ports ?? [])) {
      at(first).begin.push(list?.id as number)
      at(last + 1).end.push(list?.id as number)
    }
  }
  const parts = new Map<string, { ids: number[]; ports: PortRange[] }>()
  const inside = new Set<number>()
  const borders = [...changes].sort(([a], [b]) => a - b)
  borders.forEach(([port, { begin, end }], i) => {
    for (const id of end) inside.delete(id)
    for (const id of begin) inside.add(id)
    if (inside.size === 0) return
    const ids = [...inside].sort((a, b) => a - b)
    const part = parts.get(ids.join()) ?? { ids, ports: [] }
    parts.set(ids.join(), part)
    part.ports.push({ first: port, last: (borders[i + 1] as (typeof borders)[number])[0] - 1 })
  })
  return [...parts.values()]
    .map(({ ids, ports }) => ({ ids, ports: mergePorts(ports) }))
    .sort((a, b) => (a.ids[0] as number) - (b.ids[0] as number) || (a.ports[0]?.first ?? 0) - (b.ports[0]?.first ?? 0))
}

// ---- credentials

function entryOf(credential: CredentialDraft, user: number, made: readonly Made[], names: Names): DraftEntry {
  const { opens = [], named = [], closes = [], notes = [] } = credential
  const name = names.make(credential.name, 'knock')
  const own = made.filter(({ users }) => users.has(user))
  const all: Note[] = [...notes]
  if (name !== credential.name) all.unshift(remark(`called '${credential.name.slice(0, 60)}' there`))
  const { window, note } = opens.length > 0 ? windowFor(user, own) : { window: credential.window }
  if (note) all.push(note)
  const services = [...new Set([...own.map(({ entry }) => entry.name), ...named])]
  const closing = made.filter(({ protocol, ports }) =>
    closes.some(one => one.protocol === protocol && overlap(one.ports, ports)),
  )
  const closed = [...closing.map(({ entry }) => entry.name), ...(credential.closesNamed ?? [])]
  const options = {
    ...credential.options,
    ...(services.length > 0 ? { opens: services } : {}),
    ...(closed.length > 0 ? { closes: closed } : {}),
    ...(window === undefined ? {} : { window }),
    ...(credential.onOpen ? { 'on-open': credential.onOpen } : {}),
    ...(credential.onExpiry ? { 'on-expiry': credential.onExpiry } : {}),
  }
  return { name, options, secrets: credential.secrets ?? {}, notes: all }
}

/** The window of a credential; none where each of its services has the right one. */
function windowFor(user: number, services: readonly Made[]): { window?: Window; note?: Note } {
  const wanted = services.map(({ users }) => (users.get(user) ?? []).map(({ window }) => window))
  const isItsOwn = ({ window }: Made, i: number) => window !== undefined && wanted[i]?.every(one => one === window)
  if (services.every(isItsOwn)) return {}
  const windows = [...new Set(wanted.flat())].filter(window => window !== undefined)
  const shortest = Math.min(...windows.map(window => (window === 'unlimited' ? Infinity : window)))
  const [only] = windows
  if (windows.length === 0 || only === undefined) return {}
  if (windows.length === 1) return { window: only }
  return {
    window: shortest,
    note: caution(`its ports are open for different times there (${windows.join(', ')} s); here for the shortest`),
  }
}

/** A word of the input, for comments: on one line, and cut. */
export const shorten = (text: string): string => {
  const line = oneLine(text.slice(0, 200))
  return line.length > 100 ? `${line.slice(0, 100)}…` : line
}
