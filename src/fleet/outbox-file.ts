/**
 * What waits for the engine, on disk, so that the others hear of it after a restart of this server, too: a message on each line, as
 * the engine gets it. Its HMAC keeps those who can write the file from granting anything. The file is there while something waits.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { giveToOwner, isStillThere, readOwned, removeFile, replaceAndKeepOpen } from '../util/index.js'
import type { Group, MessageLimits } from './message.js'
import { decodeMessage, encodeMessage } from './message.js'
import type { Unsent } from './outbox.js'

/** Nothing of it throws. */
export interface WaitingStore {
  /** What waited when the last process ended, and is not over. */
  recall(limits: MessageLimits): Unsent[]
  /** Some more wait; `all` are all that do. */
  keep(words: readonly Unsent[], all: () => Iterable<Unsent>): void
  /** Nothing waits. */
  clear(): void
}

interface OutboxFileParts {
  readonly node: string
  readonly group: Group
  /** Gets one line. */
  readonly report: (message: string) => void
}

const compactAboveLines = 1000

export class OutboxFile implements WaitingStore {
  readonly #file: string
  readonly #parts: OutboxFileParts
  #descriptor = -1
  #lines = 0
  #isSyncing = false
  /** The last process has left a file. */
  #isLeft = false
  #isTold = false

  constructor(directory: string, parts: OutboxFileParts) {
    this.#file = path.join(directory, 'fleet-outbox')
    this.#parts = parts
  }

  recall(limits: MessageLimits): Unsent[] {
    const { node, group } = this.#parts
    let text = ''
    try {
      text = readOwned(this.#file).toString('latin1')
      this.#isLeft = true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#tell(error)
    }
    return text.split('\n').flatMap(line => {
      const message = line === '' ? 'malformed' : decodeMessage(line, group, limits)
      if (typeof message === 'string' || message.kind === 'hello' || message.node !== node) return []
      const { kind, by, service, source, made, until } = message
      return until > limits.now ? [{ kind, by, service, source, made, until }] : []
    })
  }

  keep(words: readonly Unsent[], all: () => Iterable<Unsent>): void {
    try {
      const isThere = this.#descriptor >= 0 && isStillThere(this.#file, this.#descriptor)
      if (!isThere || this.#lines > compactAboveLines) {
        const waiting = [...all()]
        if (!isThere || this.#lines > 2 * waiting.length) {
          this.#replace(waiting)
          return
        }
      }
      this.#append(words)
    } catch (error) {
      this.#tell(error)
    }
  }

  clear(): void {
    if (this.#descriptor < 0 && !this.#isLeft) return
    this.#isLeft = false
    try {
      this.#close()
      removeFile(this.#file)
    } catch (error) {
      this.#tell(error)
    }
  }

  #append(words: readonly Unsent[]): void {
    fs.writeFileSync(this.#descriptor, this.#linesOf(words))
    this.#lines += words.length
    if (this.#isSyncing) return
    this.#isSyncing = true
    // The descriptor of another file in its place would do no harm.
    fs.fdatasync(this.#descriptor, () => {
      this.#isSyncing = false
    })
  }

  #replace(words: readonly Unsent[]): void {
    this.#close()
    const prepare = (descriptor: number) => {
      giveToOwner(descriptor, path.dirname(this.#file))
    }
    this.#descriptor = replaceAndKeepOpen(this.#file, this.#linesOf(words), { mode: 0o600, sync: true, prepare })
    this.#lines = words.length
  }

  #close(): void {
    if (this.#descriptor >= 0) fs.closeSync(this.#descriptor)
    this.#descriptor = -1
    this.#lines = 0
  }

  #linesOf(words: readonly Unsent[]): string {
    const { node, group } = this.#parts
    return words.map(word => `${encodeMessage({ ...word, node, epoch: 0, sequence: 0 }, group)}\n`).join('')
  }

  #tell(error: unknown): void {
    if (this.#isTold) return
    this.#isTold = true
    const why = (error as Error).message
    this.#parts.report(`what waits for the engine of the fleet cannot be kept on disk, and a restart loses it: ${why}`)
  }
}
