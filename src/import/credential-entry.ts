/** The entry of a credential: which services it opens and closes, and for how long. */
import type { CredentialDraft, DraftEntry, Window } from './draft-entries.js'
import type { PortGroup } from './group-ports.js'
import { overlap } from './group-ports.js'
import type { Note } from './notes.js'
import { caution, remark } from './notes.js'
import type { UniqueNames } from './unique-names.js'

export function credentialEntry(
  credential: CredentialDraft,
  user: number,
  made: readonly PortGroup[],
  names: UniqueNames,
): DraftEntry {
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
function windowFor(user: number, services: readonly PortGroup[]): { window?: Window; note?: Note } {
  const wanted = services.map(({ users }) => (users.get(user) ?? []).map(({ window }) => window))
  const isItsOwn = ({ window }: PortGroup, i: number) => window !== undefined && wanted[i]?.every(one => one === window)
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
