/**
 * Grants for which a command is due when they expire, on disk: a JSON object on each line; the last one for an address and
 * a credential counts. `expires` is in Unix seconds; null removes the entry. The file is compacted when most of its lines
 * are obsolete.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { parseAddress } from '../../net/index.js'
import { giveToOwner, isStillThere, makeOwnedDirectory, readOwned, replaceAndKeepOpen } from '../../util/index.js'

export interface DueGrant {
  readonly credential: string
  readonly address: string
  /** Unix seconds. */
  readonly expires: number
}

/** The address becomes a part of a command, and the file may belong to another user than this process. */
function isAddress(text: string): boolean {
  try {
    return parseAddress(text).address !== ''
  } catch {
    return false
  }
}

const keyOf = ({ credential, address }: Pick<DueGrant, 'credential' | 'address'>) => `${credential} ${address}`
const compactAboveLines = 1000

export class DueTriggers {
  readonly #file: string
  readonly #entries = new Map<string, DueGrant>()
  /** Returned by `takeUntil`, and not removed yet. */
  readonly #taken = new Map<string, DueGrant>()
  /** Nothing is due earlier; Unix seconds. */
  #earliest = Infinity
  #descriptor = -1
  #lines = 0
  #isLost = false
  readonly #report: (message: string) => void

  private constructor(file: string, report: (message: string) => void) {
    this.#file = file
    this.#report = report
  }

  /**
   * Reads what is due, and skips lines that are damaged. Throws the system's error. `report` gets what happens to the file
   * later.
   */
  static open(directory: string, report: (message: string) => void = () => undefined): DueTriggers {
    const store = new DueTriggers(path.join(directory, 'due'), report)
    makeOwnedDirectory(directory)
    let text = ''
    try {
      text = readOwned(store.#file).toString('utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    for (const line of text.split('\n')) store.#recall(line)
    store.#compact()
    return store
  }

  get size(): number {
    return this.#entries.size + this.#taken.size
  }

  get(credential: string, address: string): DueGrant | undefined {
    return this.#entries.get(keyOf({ credential, address }))
  }

  /** Stores a grant, in place of an earlier one for the same address. Throws the system's error, with nothing stored. */
  put(grant: DueGrant): void {
    this.#append(grant)
    this.#taken.delete(keyOf(grant))
    this.#entries.delete(keyOf(grant))
    this.#entries.set(keyOf(grant), grant)
    this.#earliest = Math.min(this.#earliest, grant.expires)
  }

  /** Removes a grant, unless it has been renewed. */
  remove(grant: DueGrant): void {
    const key = keyOf(grant)
    const known = this.#entries.get(key) ?? this.#taken.get(key)
    if (known?.expires !== grant.expires) return
    this.#entries.delete(key)
    this.#taken.delete(key)
    try {
      this.#append({ ...grant, expires: null })
    } catch {
      // It stays on disk: after a restart the command runs once more, which is better than never.
    }
  }

  /** Takes a grant before it expires, as `takeUntil` does. */
  take(grant: DueGrant): void {
    const key = keyOf(grant)
    if (!this.#entries.delete(key)) return
    this.#taken.set(key, grant)
  }

  /** The grants that are due at `now`, in Unix seconds. Each is returned once, and stays on disk until it is removed. */
  takeUntil(now: number): DueGrant[] {
    if (now < this.#earliest) return []
    const taken: DueGrant[] = []
    this.#earliest = Infinity
    for (const [key, grant] of this.#entries) {
      if (grant.expires > now) this.#earliest = Math.min(this.#earliest, grant.expires)
      else {
        this.#entries.delete(key)
        this.#taken.set(key, grant)
        taken.push(grant)
      }
    }
    return taken
  }

  /** When to call `takeUntil` next, in Unix seconds; Infinity when nothing is due. */
  next(): number {
    return this.#entries.size === 0 ? Infinity : this.#earliest
  }

  /** Writes the file again when another program has removed or replaced it. To be called at intervals. */
  keep(): void {
    if (this.#descriptor < 0) return
    if (isStillThere(this.#file, this.#descriptor)) {
      this.#isLost = false
      return
    }
    const message = `another program has removed or replaced ${this.#file}`
    try {
      this.#compact()
      this.#isLost = false
      this.#report(`${message}; it is written again, with all commands that are due`)
    } catch (error) {
      if (!this.#isLost) this.#report(`${message}, and it cannot be written again: ${(error as Error).message}`)
      this.#isLost = true
    }
  }

  close(): void {
    if (this.#descriptor >= 0) fs.closeSync(this.#descriptor)
    this.#descriptor = -1
  }

  #recall(line: string): void {
    let entry: unknown
    try {
      entry = JSON.parse(line)
    } catch {
      return
    }
    const { credential, address, expires } = (entry ?? {}) as Record<string, unknown>
    if (typeof credential !== 'string' || typeof address !== 'string' || !isAddress(address)) return
    this.#entries.delete(keyOf({ credential, address }))
    if (typeof expires !== 'number') return
    this.#entries.set(keyOf({ credential, address }), { credential, address, expires })
    this.#earliest = Math.min(this.#earliest, expires)
  }

  #append(entry: Omit<DueGrant, 'expires'> & { readonly expires: number | null }): void {
    this.keep()
    if (this.#isLost) throw new Error(`another program has removed or replaced ${this.#file}`)
    if (this.#lines > compactAboveLines && this.#lines > 2 * this.size) this.#compact()
    // The line break comes first, so that a line that a full disk cut off does not damage the next one.
    const line = Buffer.from(`\n${JSON.stringify(entry)}`)
    if (fs.writeSync(this.#descriptor, line) < line.length) throw new Error('the disk is full')
    fs.fdatasyncSync(this.#descriptor)
    this.#lines++
  }

  #compact(): void {
    const entries = [...this.#taken.values(), ...this.#entries.values()]
    const descriptor = replaceAndKeepOpen(this.#file, entries.map(entry => `\n${JSON.stringify(entry)}`).join(''), {
      sync: true,
      prepare: giveToOwner,
    })
    this.close()
    this.#descriptor = descriptor
    this.#lines = entries.length
  }
}
