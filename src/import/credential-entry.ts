/** The entry of a credential: which services it opens and closes, and for how long. */
import type { AllPorts, CredentialDraft, DraftEntry, Window } from './draft-entries.js'
import type { PortGroup } from './group-ports.js'
import { rangesOverlap } from './group-ports.js'
import type { Note } from './notes.js'
import { caution, remark, shorten } from './notes.js'
import type { UniqueNames } from './unique-names.js'

/** The services of all credentials. */
interface Services {
  readonly made: readonly PortGroup[]
  readonly named: readonly string[]
}

export function credentialEntry(
  credential: CredentialDraft,
  user: number,
  all: Services,
  names: UniqueNames,
): DraftEntry {
  const { made } = all
  const { opens = [], named = [], closes = [], notes = [] } = credential
  const name = names.make(credential.name, 'knock')
  const own = made.filter(({ users }) => users.has(user))
  const said: Note[] = [...notes]
  if (name !== credential.name) said.unshift(remark(`called '${credential.name.slice(0, 60)}' there`))
  const { window, note } = opens.length > 0 ? windowFor(user, own) : { window: credential.window }
  if (note) said.push(note)
  const every = credential.opensAll === undefined ? [] : servicesOf(credential.opensAll, all)
  const services = [...new Set([...own.map(({ entry }) => entry.name), ...named, ...every])]
  if (credential.opensAll !== undefined) said.push(noteOnAll(credential.opensAll, services))
  const closing = made.filter(({ protocol, ports }) =>
    closes.some(one => one.protocol === protocol && rangesOverlap(one.ports, ports)),
  )
  const others = servicesOf('any', all)
  if (credential.isUnclear && others.length > 0) {
    const which = shorten(others.join(', '))
    said.push(
      caution(`the services of other sections (${which}) stay closed for it: name those that it opens in opens`),
    )
  }
  const closed = [
    ...closing.map(({ entry }) => entry.name),
    ...(credential.closesNamed ?? []),
    ...(credential.closesAll === undefined ? [] : servicesOf(credential.closesAll, all)),
  ]
  const isTimed = services.length > 0 || credential.onExpiry !== undefined
  const options = {
    ...credential.options,
    ...(services.length > 0 ? { opens: services } : {}),
    ...(closed.length > 0 ? { closes: closed } : {}),
    ...(window === undefined || !isTimed ? {} : { window }),
    ...(credential.onOpen ? { 'on-open': credential.onOpen } : {}),
    ...(credential.onClose ? { 'on-close': credential.onClose } : {}),
    ...(credential.onExpiry ? { 'on-expiry': credential.onExpiry } : {}),
  }
  return { name, options, secrets: credential.secrets ?? {}, notes: said }
}

/** Those whose ports are among all of a protocol; of named ones, the protocol is not known. */
const servicesOf = (ports: AllPorts, { made, named }: Services): string[] => [
  ...made.filter(({ protocol }) => ports === 'any' || protocol === ports).map(({ entry }) => entry.name),
  ...(ports === 'any' ? named : []),
]

function noteOnAll(ports: AllPorts, services: readonly string[]): Note {
  const there = `it opens all ${ports === 'any' ? '' : `${ports} `}ports there`
  const run = 'its commands are run as they are, for the ports that another firewall closes'
  return services.length > 0
    ? caution(`${there}; here it opens every service that the others open (${services.join(', ')}), and ${run}`)
    : caution(
        `${there}; here no service is closed that it could open, and ${run}: name ports in a service to close them`,
      )
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
