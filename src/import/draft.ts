/**
 * A configuration in the making: what an importer has understood, and in comments what it has not. Importers say which
 * ports a credential opens; which services that makes is found at the end, because no two may have a port in common.
 */
import type { PortRange } from '../net/index.js'
import { UserError } from '../util/index.js'
import { credentialEntry } from './credential-entry.js'
import type { CredentialDraft, DraftEntry, ImportResult } from './draft-entries.js'
import { rangesOverlap, portValue, servicesFor } from './group-ports.js'
import type { Note } from './notes.js'
import { caution, remark } from './notes.js'
import type { PortProtocol } from './service-ports.js'
import { UniqueNames } from './unique-names.js'

/** More than any machine has; it bounds the work that a hostile file can cause. */
const maxEntries = 1000
const maxNotes = 200

export class Draft {
  readonly #notes: Note[] = []
  #omitted = 0
  readonly #settings = new Map<string, unknown>()
  readonly #services: (DraftEntry & { protocol: PortProtocol; ports: readonly PortRange[] })[] = []
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

  /** Adds a service that has its own name; or gives the name of the earlier one that has its name or one of its ports. */
  service(
    name: string,
    protocol: PortProtocol,
    ports: readonly PortRange[],
    options: Readonly<Record<string, unknown>>,
    notes: readonly Note[],
  ): string | undefined {
    const taken = this.#services.find(
      one => one.name === name || (one.protocol === protocol && rangesOverlap(one.ports, ports)),
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
    const taken = new UniqueNames(this.#credentials.flatMap(({ named = [] }) => named))
    for (const { name } of this.#services) taken.reserve(name)
    const made = servicesFor(this.#credentials, taken)
    const names = new UniqueNames()
    const named = [...new Set(this.#credentials.flatMap(({ named = [] }) => named))]
    const credentials = this.#credentials.map((credential, i) => credentialEntry(credential, i, { made, named }, names))
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
