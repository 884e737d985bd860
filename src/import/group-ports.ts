/** The services that ports make: no two services have a port in common, so ports are grouped by who opens them. */
import type { PortRange } from '../net/index.js'
import { formatPortRange, mergePorts } from '../net/index.js'
import type { CredentialDraft, DraftEntry, OpenedPorts } from './draft-entries.js'
import type { Note } from './notes.js'
import { caution, shorten } from './notes.js'
import type { PortProtocol } from './service-ports.js'
import { formatServicePorts, serviceNameFor } from './service-ports.js'
import type { UniqueNames } from './unique-names.js'

/** A service that was found, and the credentials that open it. */
export interface PortGroup {
  readonly entry: DraftEntry
  readonly protocol: PortProtocol
  readonly ports: readonly PortRange[]
  /** Those that open it, as indices, with what they said of it; more than once where several rules are one here. */
  readonly users: ReadonlyMap<number, readonly OpenedPorts[]>
  readonly window: number | undefined
}

/** Services so that each port is in one, and ports that are opened by the same are in the same. */
export function servicesFor(credentials: readonly CredentialDraft[], names: UniqueNames): PortGroup[] {
  const openings = credentials.flatMap(({ opens = [] }, user) => opens.map(opening => ({ opening, user })))
  const uniform = credentials.map(({ opens = [] }) => new Set(opens.map(({ window }) => window)).size <= 1)
  return (['tcp', 'udp', 'sctp'] as const).flatMap(protocol =>
    divide(
      openings.map(({ opening }, id) => (opening.protocol === protocol ? { id, ports: opening.ports } : null)),
    ).map(({ ids, ports }): PortGroup => {
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

export const rangesOverlap = (some: readonly PortRange[], others: readonly PortRange[]) =>
  some.some(one => others.some(other => one.first <= other.last && other.first <= one.last))

/** As `port` has it in YAML: a number, a range, or a list. */
export function portValue(ports: readonly PortRange[]): unknown {
  const values = ports.map(({ first, last }) => (first === last ? first : formatPortRange({ first, last })))
  return values.length === 1 ? values[0] : values
}
