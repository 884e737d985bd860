/**
 * A file of keys, by fingerprint, made for very many lines: of each only the text is kept, and it is read again when its
 * key signs. A file that has changed costs what is new in it, and is read in slices, so that knocks are verified meanwhile.
 */
import type { AuthorizedKey } from '../../knock/openssh/index.js'
import { ignoredIn, parseAuthorizedLine, SshFormatError } from '../../knock/openssh/index.js'
import type { Slices } from '../../util/index.js'

/** What a line is, without its number: the same text is the same. */
interface LineFacts {
  /** As latin1; empty where the line has no key that counts. */
  readonly fingerprint: string
  readonly isAuthority: boolean
  /** One line each, without a full stop. */
  readonly problems: readonly string[]
}

/** Mostly one line, and several where a key is there several times. */
type Lines = ReadonlyMap<string, string | readonly string[]>

/** Lines that are kept as they were read: those of keys that have signed. */
const maxRead = 1024

const nothing: LineFacts = { fingerprint: '', isAuthority: false, problems: [] }

export class KeyIndex {
  readonly #read = new Map<string, AuthorizedKey>()

  private constructor(
    readonly content: Buffer,
    readonly users: Lines,
    readonly authorities: Lines,
    readonly problems: readonly { readonly line: number; readonly message: string }[],
    readonly facts: ReadonlyMap<string, LineFacts>,
  ) {}

  /** Reads the file; `earlier` is what it was before, if that is known. */
  static async read(content: Buffer, slices: Slices, earlier?: KeyIndex): Promise<KeyIndex> {
    if (earlier?.content.equals(content)) return earlier
    const text = content.toString()
    const facts = new Map<string, LineFacts>()
    const maps = { users: new Map<string, string | string[]>(), authorities: new Map<string, string | string[]>() }
    const problems: { line: number; message: string }[] = []
    for (let line = 1, at = 0; at <= text.length; line++) {
      if (slices.isOver()) await slices.next()
      const end = text.indexOf('\n', at)
      const written = text.slice(at, end < 0 ? text.length : end)
      at += written.length + 1
      const known = earlier?.facts.get(written) ?? facts.get(written) ?? factsOf(written)
      if (known === nothing) continue
      facts.set(written, known)
      for (const message of known.problems) problems.push({ line, message })
      if (known.fingerprint !== '') add(known.isAuthority ? maps.authorities : maps.users, known.fingerprint, written)
    }
    return new KeyIndex(content, maps.users, maps.authorities, problems, facts)
  }

  /** The lines with the key, in the order of the file. */
  find(fingerprint: Buffer): readonly AuthorizedKey[] {
    return this.#linesIn(this.users, fingerprint)
  }

  /** The same, for the key of a CA. */
  findAuthority(fingerprint: Buffer): readonly AuthorizedKey[] {
    return this.#linesIn(this.authorities, fingerprint)
  }

  #linesIn(lines: Lines, fingerprint: Buffer): readonly AuthorizedKey[] {
    const found = lines.get(fingerprint.toString('latin1'))
    if (found === undefined) return []
    return (typeof found === 'string' ? [found] : found).flatMap(text => this.#parsed(text) ?? [])
  }

  #parsed(text: string): AuthorizedKey | undefined {
    const known = this.#read.get(text)
    if (known) return known
    const parsed = parseAuthorizedLine(text, 0)
    if (this.#read.size >= maxRead) this.#read.clear()
    if (parsed) this.#read.set(text, parsed)
    return parsed
  }
}

function factsOf(written: string): LineFacts {
  try {
    const entry = parseAuthorizedLine(written, 0)
    if (!entry) return nothing
    const { key, isCertAuthority } = entry
    return {
      fingerprint: key.fingerprint.toString('latin1'),
      isAuthority: isCertAuthority,
      problems: ignoredIn(entry),
    }
  } catch (error) {
    if (!(error instanceof SshFormatError)) throw error
    return { ...nothing, problems: [error.message] }
  }
}

function add(map: Map<string, string | string[]>, fingerprint: string, text: string): void {
  const before = map.get(fingerprint)
  map.set(fingerprint, before === undefined ? text : [...(typeof before === 'string' ? [before] : before), text])
}
