/**
 * What this server tells the others, on its way to the engine: in batches, again after a failure, and again where the engine has lost
 * it. While the engine is away, the outbox keeps what is to be told, in memory and on disk.
 */
import type { Engine } from './engine.js'
import type { Group } from './message.js'
import { encodeMessage } from './message.js'
import type { WaitingStore } from './outbox-file.js'
import type { Unsent } from './outbox.js'
import { nameOfWord, namesOfWords, Outbox } from './outbox.js'

interface SendingParts {
  readonly node: string
  readonly group: Group
  /** When this server began to count its messages. */
  readonly epoch: number
  readonly store: WaitingStore
  readonly send: Engine['send']
  readonly onSent: () => void
  /** They were not sent, or it is not known whether they were. They are sent again. */
  readonly onTrouble: (reason: string) => void
  /** Unix milliseconds. */
  readonly now: () => number
}

const retryMilliseconds = 1000
const mostWaiting = 100_000
const mostAtOnce = 500
/** What is sent within this time is not written. */
const unwrittenMilliseconds = 100

export class Sending {
  readonly #parts: SendingParts
  readonly #outbox = new Outbox(mostWaiting)
  /** The number of the entry with each own word, and until when it is kept, by what it is of. */
  readonly #entries = new Map<string, { readonly id: string; readonly until: number }>()
  #sequence = 0
  /** Encoded, and not known to be sent. */
  #unsent: { readonly text: string; readonly word: Unsent | undefined }[] = []
  /** Not before the engine was reached, or is known to be away. */
  #isOpen = false
  #isSending = false
  #retry: NodeJS.Timeout | undefined
  #sent = 0
  /** Whether the last messages could not be sent. */
  #isTroubled = false
  /** Told, and not on disk. */
  #unwritten: Unsent[] = []
  #writing: NodeJS.Timeout | undefined
  /** To be called when nothing waits any more. */
  readonly #waiters = new Set<() => void>()

  constructor(parts: SendingParts) {
    this.#parts = parts
  }

  /** Messages that wait for the engine, that were given up because there were too many, and that it has taken. */
  get counts(): { readonly waiting: number; readonly dropped: number; readonly sent: number } {
    const { size, dropped } = this.#outbox
    return { waiting: size + this.#unsent.length, dropped, sent: this.#sent }
  }

  /** What waits stays on disk. */
  stop(): void {
    clearTimeout(this.#retry)
    this.#write()
  }

  tell(word: Unsent): void {
    this.#add(word)
    this.flush()
  }

  sayHello(text: string): void {
    const hello = this.#encode({ kind: 'hello', made: this.#parts.now(), text })
    this.#unsent.push({ text: hello, word: undefined })
    this.flush()
  }

  open(): void {
    this.#isOpen = true
    this.flush()
  }

  flush(): void {
    if (this.#isSending || !this.#isOpen) return
    this.#isSending = true
    // What comes in this turn goes together.
    setImmediate(() => void this.#sendAll())
  }

  /** Resolves to true when nothing waits any more, and to false after this time. */
  settled(milliseconds: number): Promise<boolean> {
    if (this.counts.waiting === 0) return Promise.resolve(true)
    return new Promise(resolve => {
      const done = () => {
        clearTimeout(timer)
        resolve(true)
      }
      const timer = setTimeout(() => {
        this.#waiters.delete(done)
        resolve(false)
      }, milliseconds)
      this.#waiters.add(done)
    })
  }

  /** Whether the others were told of the source, or will be. */
  hasTold(service: string, source: string): boolean {
    return namesOfWords(service, source).some(name => this.#entries.has(name)) || this.#outbox.has(service, source)
  }

  /** The engine has the word under this number. */
  noteEntry(word: Unsent, id: string): void {
    this.#entries.set(nameOfWord(word), { id, until: word.until })
  }

  forgetOver(now: number): void {
    for (const [key, { until }] of this.#entries) if (until <= now) this.#entries.delete(key)
  }

  /** Tells again those of the words that were told and that the engine does not have any more. */
  tellAgain(words: Iterable<Unsent>, isLost: (id: string) => boolean): void {
    for (const word of words) {
      const entry = this.#entries.get(nameOfWord(word))
      if (entry === undefined || !isLost(entry.id)) continue
      this.#entries.delete(nameOfWord(word))
      this.#add(word)
    }
    this.flush()
  }

  #add(word: Unsent): void {
    this.#outbox.add(word)
    this.#unwritten.push(word)
    const wait = this.#isTroubled ? 0 : unwrittenMilliseconds
    this.#writing ??= setTimeout(() => {
      this.#write()
    }, wait)
  }

  #write(): void {
    clearTimeout(this.#writing)
    this.#writing = undefined
    const words = this.#unwritten.splice(0)
    if (words.length > 0 && this.counts.waiting > 0) this.#parts.store.keep(words, () => this.#waiting())
  }

  *#waiting(): Generator<Unsent> {
    for (const { word } of this.#unsent) if (word) yield word
    yield* this.#outbox
  }

  /** The engine has all. */
  #settle(): void {
    clearTimeout(this.#writing)
    this.#writing = undefined
    this.#unwritten = []
    this.#parts.store.clear()
    for (const done of this.#waiters) done()
    this.#waiters.clear()
  }

  async #sendAll(): Promise<void> {
    const { send, onSent, onTrouble, now } = this.#parts
    while (this.#unsent.length > 0 || this.#outbox.size > 0) {
      const room = mostAtOnce - this.#unsent.length
      for (const unsent of room > 0 ? this.#outbox.take(room, now()) : [])
        this.#unsent.push({ text: this.#encode(unsent), word: unsent })
      const sending = [...this.#unsent]
      try {
        const ids = await send(sending.map(({ text }) => text))
        for (const [i, { word }] of sending.entries()) if (word) this.noteEntry(word, ids[i] as string)
        this.#sent += sending.length
        this.#unsent = this.#unsent.slice(sending.length)
        this.#isTroubled = false
        onSent()
      } catch (error) {
        this.#isTroubled = true
        this.#write()
        onTrouble((error as Error).message)
        this.#retry = setTimeout(() => void this.#sendAll(), retryMilliseconds)
        return
      }
    }
    this.#isSending = false
    this.#settle()
  }

  #encode(message: Unsent | { kind: 'hello'; made: number; text: string }): string {
    const { node, group, epoch } = this.#parts
    return encodeMessage({ ...message, node, epoch, sequence: ++this.#sequence }, group)
  }
}
