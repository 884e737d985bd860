/**
 * Files of authorized keys, as sshd reads them: on each line a key, before it options. Lines that are empty or begin with
 * `#` are ignored.
 *
 * Options mean what they mean for sshd: `from`, `expiry-time`, `cert-authority`, `principals`, `no-touch-required`,
 * `verify-required`. Options about sessions have no meaning for a knock. An unknown option could be a restriction, so that
 * its line is refused. pkctl adds options of its own, which sshd does not know: it refuses lines that have them.
 *
 * | option                        | meaning                                                                 |
 * | ----------------------------- | ----------------------------------------------------------------------- |
 * | `opens="ssh,vpn"`             | the services that the key opens                                         |
 * | `window="8h"`                 | how long a grant lasts at most                                          |
 * | `prefix4="24"`, `prefix6="64"`| whether a knock may ask for a prefix, and the shortest one              |
 * | `obo="192.0.2.0/24,…"`        | the prefixes in which a knock may ask for another address               |
 */
import { parsePrefix } from '../../net/index.js'
import { count, parseDuration, quote } from '../../util/index.js'
import { SshFormatError } from './ssh-format-error.js'
import { parseExpiryTime } from './expiry-time.js'
import type { KeyOption } from './key-options.js'
import { splitOptions } from './key-options.js'
import type { KeyText } from './key-text.js'
import { readKeyText } from './key-text.js'
import type { SshPublicKey, TokenDemands } from './public-key.js'
import { parsePublicKey } from './public-key.js'
import type { SourcePatterns } from './source-patterns.js'
import { parseSourcePatterns } from './source-patterns.js'

export interface AuthorizedKey extends KeyRights {
  readonly line: number
  readonly key: SshPublicKey
  readonly comment: string
}

/** What the options of a line say. */
interface KeyRights {
  /** Whether the key is that of a CA: it signs certificates, and no knocks. */
  readonly isCertAuthority: boolean
  /** Of these, a certificate must have one; null where the line says nothing. */
  readonly principals: readonly string[] | null
  readonly from: SourcePatterns | null
  /** Unix seconds: the last one at which the key is accepted. */
  readonly expiresAt: number | null
  /** What a signature of a FIDO token must say. */
  readonly demands: Required<TokenDemands>
  /** Names of services; null where the line says nothing. */
  readonly opens: readonly string[] | null
  /** Seconds; null where the line says nothing. */
  readonly window: number | null
  /** Bits; null where a knock may not ask for a prefix. */
  readonly prefix4: number | null
  readonly prefix6: number | null
  /** Prefixes, in the spelling of nft. */
  readonly onBehalfOf: readonly string[]
}

/** A line that is refused, or a part of it that is ignored. */
export interface KeyProblem {
  readonly file: string
  readonly line: number
  /** One line, without a full stop. */
  readonly message: string
}

export interface AuthorizedKeys {
  /** In the order of the file. */
  readonly entries: readonly AuthorizedKey[]
  readonly problems: readonly KeyProblem[]
}

/** sshd reads no longer key. */
const maxLineLength = 16_384

/** Reads the text of a file; `file` names it in problems. Never throws: a line that cannot be read is a problem. */
export function parseAuthorizedKeys(text: string, file: string): AuthorizedKeys {
  const entries: AuthorizedKey[] = []
  const problems: KeyProblem[] = []
  for (const [index, written] of text.split('\n').entries()) {
    const line = index + 1
    try {
      const entry = parseAuthorizedLine(written, line)
      if (!entry) continue
      entries.push(entry)
      for (const message of ignoredIn(entry)) problems.push({ file, line, message })
    } catch (error) {
      if (!(error instanceof SshFormatError)) throw error
      problems.push({ file, line, message: error.message })
    }
  }
  return { entries, problems }
}

/** One line of a file; undefined where it has no key. Throws a SshFormatError for one that cannot be read. */
export function parseAuthorizedLine(written: string, line: number): AuthorizedKey | undefined {
  const content = written.replace(/^[ \t]+|[ \t\r]+$/g, '')
  return content === '' || content.startsWith('#') ? undefined : readLine(content, line)
}

/** What is ignored of a line, and why: each one line, without a full stop. */
export const ignoredIn = ({ from }: AuthorizedKey): string[] =>
  (from?.names ?? []).map(name => `from= has the name ${quote(name)}, which never matches: pkctl resolves no names`)

function readLine(content: string, line: number): AuthorizedKey {
  if (content.length > maxLineLength) throw new SshFormatError(`the line is longer than ${maxLineLength} characters`)
  if (content.includes('\0')) throw new SshFormatError('the line has a NUL character')
  const plain = readKeyText(content)
  if (plain) return entryOf(plain, [], line)
  const { options, rest } = splitOptions(content)
  const key = readKeyText(rest)
  if (!key) throw new SshFormatError('there is no key on the line')
  return entryOf(key, options, line)
}

function entryOf({ blob, comment }: KeyText, options: readonly KeyOption[], line: number): AuthorizedKey {
  return { line, key: parsePublicKey(blob), comment, ...rightsOf(options) }
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }
type Rights = Writable<KeyRights> & { demands: Writable<Required<TokenDemands>> }

function rightsOf(options: readonly KeyOption[]): KeyRights {
  const rights: Rights = {
    isCertAuthority: false,
    principals: null,
    from: null,
    expiresAt: null,
    demands: { touch: true, verification: false },
    opens: null,
    window: null,
    prefix4: null,
    prefix6: null,
    onBehalfOf: [],
  }
  const seen = new Set<string>()
  for (const { name, value } of options) {
    const flag = flags.get(name)
    const read = values.get(name)
    if (flag) {
      if (value !== undefined) throw new SshFormatError(`the option ${name} has no value`)
      flag(rights)
    } else if (read) {
      if (value === undefined) throw new SshFormatError(`the option ${name} needs a value in double quotes`)
      if (seen.has(name) && !repeatable.has(name)) throw new SshFormatError(`the option ${name} is given twice`)
      seen.add(name)
      read(value, rights)
    } else {
      throw new SshFormatError(`the option ${quote(name)} is unknown`)
    }
  }
  return rights
}

const ignored = () => undefined

/** Options without a value. */
const flags = new Map<string, (rights: Rights) => void>([
  ['cert-authority', rights => (rights.isCertAuthority = true)],
  ['touch-required', rights => (rights.demands.touch = true)],
  ['no-touch-required', rights => (rights.demands.touch = false)],
  ['verify-required', rights => (rights.demands.verification = true)],
  ['no-verify-required', rights => (rights.demands.verification = false)],
  // About sessions.
  ['restrict', ignored],
  ...['agent-forwarding', 'port-forwarding', 'x11-forwarding', 'pty', 'user-rc'].flatMap(name => [
    [name, ignored] as const,
    [`no-${name}`, ignored] as const,
  ]),
])

/** Options with a value. */
const values = new Map<string, (value: string, rights: Rights) => void>([
  ['principals', (value, rights) => (rights.principals = namesIn(value, 'principals'))],
  ['from', (value, rights) => (rights.from = parseSourcePatterns(value))],
  [
    'expiry-time',
    (value, rights) => (rights.expiresAt = Math.min(parseExpiryTime(value), rights.expiresAt ?? Infinity)),
  ],
  ['opens', (value, rights) => (rights.opens = namesIn(value, 'opens'))],
  ['window', (value, rights) => (rights.window = windowIn(value))],
  ['prefix4', (value, rights) => (rights.prefix4 = prefixLengthIn(value, 32))],
  ['prefix6', (value, rights) => (rights.prefix6 = prefixLengthIn(value, 128))],
  ['obo', (value, rights) => (rights.onBehalfOf = prefixesIn(value))],
  // About sessions.
  ...['command', 'environment', 'permitopen', 'permitlisten', 'tunnel'].map(name => [name, ignored] as const),
])

/** sshd takes these as often as they are given; of several times it takes the earliest. */
const repeatable = new Set(['expiry-time', 'environment', 'permitopen', 'permitlisten'])

function namesIn(value: string, option: string): string[] {
  const names = value.split(',')
  if (names.every(name => /^[^\s"]+$/.test(name))) return names
  throw new SshFormatError(`${option}=${quote(value)} is not a list of names with commas between them`)
}

const maxWindowSeconds = 365 * 86_400

function windowIn(value: string): number {
  let seconds = 0
  try {
    seconds = parseDuration(value)
  } catch {
    // Refused below.
  }
  if (seconds >= 1 && seconds <= maxWindowSeconds) return seconds
  throw new SshFormatError(`window=${quote(value)} is not a time from 1s to 365d`)
}

function prefixLengthIn(value: string, bits: 32 | 128): number {
  const length = /^[1-9]\d{0,2}$/.test(value) ? Number(value) : Infinity
  if (length <= bits) return length
  throw new SshFormatError(`${quote(value)} is not the length of a prefix: ${count(bits, 'bit')} at most, 1 at least`)
}

function prefixesIn(value: string): string[] {
  try {
    return value.split(',').map(parsePrefix)
  } catch {
    throw new SshFormatError(`obo=${quote(value)} is not a list of addresses and prefixes`)
  }
}
