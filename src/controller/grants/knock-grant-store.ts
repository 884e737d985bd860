/**
 * Whose the grants by knock are that run, and who has signed for them, in memory and on disk, so that the grants of a user or
 * a credential can be revoked after a restart of the daemon, too: a JSON object on each line. The first one names the boot, with which all grants end. Then for a key,
 * service and address the last line counts; a line without a key ends all of its service and address, or
 * those of the kind that `by` says. Times are seconds of
 * the clock that goes on as the kernel's timeouts do; null is without a time limit.
 *
 * No line is waited for: what a power failure loses here, the kernel loses, too.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { parseAddress } from '../../net/index.js'
import { giveToOwner, isStillThere, makeOwnedDirectory, readOwned, replaceAndKeepOpen } from '../../util/index.js'

export interface KnockGrant {
  readonly credential: string
  readonly service: string
  /** Which kind of grant it is to the kernel: `hand` for one that the mark of a verdict cannot make. */
  readonly by: 'knock' | 'hand'
  /** In the spelling of nft. */
  readonly address: string
  /** The comment of the key, or a principal of the certificate. */
  readonly user: string | null
  /** Its fingerprint, and that of the CA of a certificate, as ssh-keygen prints them; null for a knock that is not signed. */
  readonly key: string | null
  readonly authority: string | null
  /** Infinity without a time limit. */
  readonly until: number
  /** When it was granted, or last extended, in Unix seconds; absent where an earlier version has noted it. */
  readonly at?: number
}

interface StoreParts {
  /** Tells one boot of the machine from another. */
  readonly boot: string
  readonly now: () => number
  /** Gets what happens to the file later, one line. */
  readonly report: (message: string) => void
}

const maxGrants = 100_000
/** A line for each of many knocks a second would say nothing new; revoking allows for more than this. */
const unwrittenSeconds = 1
const compactAboveLines = 1000

const keyOf = ({ credential, key, service, by, address }: KnockGrant) =>
  [credential, key ?? '', service, by, address].join(' ')

export class KnockGrantStore {
  readonly #file: string
  readonly #parts: StoreParts
  readonly #grants = new Map<string, KnockGrant>()
  /** The end that the file has for a grant, where that is another one. */
  readonly #writtenUntil = new WeakMap<KnockGrant, number>()
  /** How many grants there may be before those that are over are removed. */
  #pruneAt = compactAboveLines
  #descriptor = -1
  #lines = 0
  /** Whether it was reported that grants are not noted. */
  #isTold = false

  private constructor(file: string, parts: StoreParts) {
    this.#file = file
    this.#parts = parts
  }

  /** Reads what runs, and ignores lines that are damaged. Throws the system's error. */
  static open(directory: string, parts: StoreParts): KnockGrantStore {
    const store = new KnockGrantStore(path.join(directory, 'signed-grants'), parts)
    makeOwnedDirectory(directory)
    let text = ''
    try {
      text = readOwned(store.#file).toString('utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    const [first, ...lines] = text.split('\n').map(objectIn)
    if (first?.['boot'] === parts.boot) for (const line of lines) store.#recall(line)
    store.#rewrite()
    return store
  }

  /** Those that run. */
  running(): KnockGrant[] {
    const now = this.#parts.now()
    return [...this.#grants.values()].filter(({ until }) => until > now)
  }

  /** Notes a grant, as a new object also where it is there, so that it is known as granted again. Never throws. */
  note({ ...grant }: KnockGrant): void {
    const key = keyOf(grant)
    const known = this.#grants.get(key)
    const written = known && (this.#writtenUntil.get(known) ?? known.until)
    if (known && written !== undefined && (grant.until <= written || grant.until < written + unwrittenSeconds)) {
      const same = { ...grant, until: Math.max(known.until, grant.until) }
      this.#grants.set(key, same)
      this.#writtenUntil.set(same, written)
      return
    }
    if (!known && this.#grants.size >= this.#pruneAt) this.#prune()
    if (!known && this.#grants.size >= maxGrants) {
      this.#tell(`more than ${maxGrants} grants by knock run`)
      return
    }
    this.#grants.set(key, grant)
    this.#append(lineOf(grant))
  }

  /** What the address had of the service is revoked; with `by`, only what is of this kind. Never throws. */
  end(service: string, address: string, by?: KnockGrant['by']): void {
    const before = this.#grants.size
    for (const [key, grant] of this.#grants) if (isEndedBy(grant, service, address, by)) this.#grants.delete(key)
    if (this.#grants.size < before) this.#append(JSON.stringify({ service, address, ...(by && { by }) }))
  }

  /** These are revoked, unless they were granted again since. Never throws. */
  forget(grants: readonly KnockGrant[]): void {
    for (const grant of grants) {
      if (this.#grants.get(keyOf(grant)) !== grant) continue
      const { service, address, by } = grant
      this.#grants.delete(keyOf(grant))
      this.#append(JSON.stringify({ service, address, by }))
      // That line ends those of other keys, too.
      for (const one of this.#grants.values())
        if (isEndedBy(one, service, address, by) && !grants.includes(one)) this.#append(lineOf(one))
    }
  }

  close(): void {
    if (this.#descriptor >= 0) fs.closeSync(this.#descriptor)
    this.#descriptor = -1
  }

  #prune(): void {
    const now = this.#parts.now()
    for (const [key, { until }] of this.#grants) if (until <= now) this.#grants.delete(key)
    this.#pruneAt = Math.max(compactAboveLines, 2 * this.#grants.size)
  }

  #recall(line: Record<string, unknown> | undefined): void {
    const grant = line && grantIn(line)
    if (grant) this.#grants.set(keyOf(grant), grant)
    else if (line && line['key'] === undefined) {
      for (const [key, one] of this.#grants)
        if (isEndedBy(one, line['service'], line['address'], line['by'])) this.#grants.delete(key)
    }
  }

  #append(line: string): void {
    try {
      const isLong = this.#lines > compactAboveLines && this.#lines > 2 * this.#grants.size
      if (isLong || this.#descriptor < 0 || !isStillThere(this.#file, this.#descriptor)) {
        // What is in memory is in it.
        this.#rewrite()
      } else {
        // The line break comes first, so that a line that a full disk cut off does not damage the next one.
        const bytes = Buffer.from(`\n${line}`)
        if (fs.writeSync(this.#descriptor, bytes) < bytes.length) throw new Error('the disk is full')
        this.#lines++
      }
      this.#isTold = false
    } catch (error) {
      this.#tell(`${this.#file} cannot be written: ${(error as Error).message}`)
    }
  }

  #tell(reason: string): void {
    if (this.#isTold) return
    this.#isTold = true
    this.#parts.report(`pkctl revoke and pkctl user revoke may miss grants that run now: ${reason}`)
  }

  #rewrite(): void {
    this.#prune()
    const lines = [JSON.stringify({ boot: this.#parts.boot }), ...[...this.#grants.values()].map(lineOf)]
    const descriptor = replaceAndKeepOpen(this.#file, lines.join('\n'), {
      prepare: giveToOwner,
    })
    this.close()
    this.#descriptor = descriptor
    this.#lines = lines.length
  }
}

const isEndedBy = (grant: KnockGrant, service: unknown, address: unknown, by: unknown) =>
  grant.service === service && grant.address === address && (by === undefined || grant.by === by)

const lineOf = ({ until, ...grant }: KnockGrant) =>
  JSON.stringify({ ...grant, until: until === Infinity ? null : until })

function objectIn(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function grantIn(line: Record<string, unknown>): KnockGrant | undefined {
  const { credential, service, by, address, user, key, authority, until, at } = line
  const isText = (value: unknown): value is string => typeof value === 'string'
  const isTextOrNull = (value: unknown): value is string | null => value === null || isText(value)
  if (!isText(credential) || !isText(service) || !isTextOrNull(key) || !isTextOrNull(user) || !isTextOrNull(authority))
    return
  if ((by !== 'knock' && by !== 'hand') || !isText(address) || !isAddress(address)) return
  if (until !== null && typeof until !== 'number') return
  const when = typeof at === 'number' ? { at } : {}
  return { credential, service, by, address, user, key, authority, until: until ?? Infinity, ...when }
}

/** The file may belong to another user than this process. */
function isAddress(text: string): boolean {
  try {
    return parseAddress(text).address === text
  } catch {
    return false
  }
}
