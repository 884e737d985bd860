/** Warns before keys and credentials expire: who has one is shut out from then on. */
import type { Credential } from '../../config/types.js'
import type { AuthorizedKey } from '../../knock/openssh/index.js'
import { parseAuthorizedLine, SshFormatError } from '../../knock/openssh/index.js'
import { oneLine } from '../../util/index.js'
import type { Log } from './log-interface.js'

/** What is in a file of users' keys. */
interface KeyText {
  readonly file: string
  readonly content: Buffer
  /** Whether each key in it is that of a CA. */
  readonly isOfAuthorities: boolean
}

interface ExpiryParts {
  readonly files: () => readonly KeyText[]
  readonly log: Log
  /** Unix milliseconds. */
  readonly now: () => number
}

const everyMilliseconds = 3_600_000
const aheadSeconds = 7 * 86_400
/** A message has no more of them. */
const maxNamed = 10

interface Expiring {
  readonly what: string
  /** Unix seconds. */
  readonly at: number
}

export class ExpiryWarning {
  #credentials: readonly Credential[] = []
  #timer: NodeJS.Timeout | undefined
  /** Those of which the log has spoken, with their time. */
  #told: ReadonlySet<string> = new Set()

  constructor(readonly parts: ExpiryParts) {}

  follow(credentials: readonly Credential[]): void {
    this.#credentials = credentials
    this.stop()
    this.#timer = setInterval(() => {
      this.#look()
    }, everyMilliseconds)
    this.#timer.unref()
    this.#look()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const { log, now, files } = this.parts
    const seconds = now() / 1000
    const soon = [...this.#credentials.flatMap(expiryOf), ...files().flatMap(expiringLines)].filter(
      ({ at }) => at > seconds && at <= seconds + aheadSeconds,
    )
    const before = this.#told
    const texts = soon.map(({ what, at }) => `${what} at ${new Date(at * 1000).toISOString().slice(0, 19)}Z`)
    this.#told = new Set(texts)
    const fresh = texts.filter(text => !before.has(text))
    if (fresh.length === 0) return
    const more = fresh.length > maxNamed ? ` and ${fresh.length - maxNamed} more` : ''
    log.warn(`these expire soon, and open nothing after that: ${fresh.slice(0, maxNamed).join('; ')}${more}`, {
      event: 'key-expiring',
    })
  }
}

function expiryOf(credential: Credential): Expiring[] {
  if (credential.type !== 'fwknop' || credential.expires === null) return []
  return [{ what: `credential ${credential.name}`, at: credential.expires }]
}

/** Only lines that name a time are read: a file can have very many. */
function expiringLines({ file, content, isOfAuthorities }: KeyText): Expiring[] {
  if (!content.includes('expiry-time')) return []
  return content
    .toString()
    .split('\n')
    .flatMap((text, i): Expiring[] => {
      if (!text.includes('expiry-time')) return []
      const line = lineIn(text, i + 1)
      const at = line?.expiresAt ?? null
      if (line === undefined || at === null) return []
      const what = isOfAuthorities || line.isCertAuthority ? 'the key of the CA' : 'the key'
      return [{ what: `${what} at ${oneLine(file)}:${i + 1}`, at }]
    })
}

function lineIn(text: string, line: number): AuthorizedKey | undefined {
  try {
    return parseAuthorizedLine(text, line)
  } catch (error) {
    // The log speaks of such lines when they are read.
    if (error instanceof SshFormatError) return undefined
    throw error
  }
}
