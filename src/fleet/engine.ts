/**
 * The engine through which the servers of a fleet hear of each other, a Valkey or Redis: one stream, which everyone reads from where
 * they were. It is neither trusted nor needed: see message.ts, and fleet.ts for what happens while it is away.
 */
import type { EnginePlace } from './engine-client.js'
import { openClient, engineTrouble } from './engine-client.js'

/** An entry of the stream: its number, which begins with the milliseconds of the engine's clock, and the message. */
export interface Entry {
  readonly id: string
  readonly text: string
}

export interface EngineEvents {
  /** In their order. `isAll`: there are no more for now. */
  readonly onEntries: (entries: readonly Entry[], isAll: boolean) => void
  /** Messages can be sent. */
  readonly onReady: () => void
  /** They cannot, for this reason; called again where it changes. */
  readonly onAway: (reason: string) => void
  /** The engine has forgotten what was read. It is read again from the start. */
  readonly onForgotten: () => void
}

export interface Engine {
  start(): void
  /** Resolves to the numbers of the entries. Rejects if it is not known whether all were taken. */
  send(texts: readonly string[]): Promise<readonly string[]>
  /** Forgets entries before this time of the engine's clock, in milliseconds. */
  trim(before: number): Promise<void>
  /** The number of the first entry that is kept. */
  first(): Promise<string | undefined>
  stop(): Promise<void>
}

const field = 'm'
const mostAtOnce = 1000
/** A read that waits returns after this time at the latest, so that its connection is known to live. */
const blockMilliseconds = 2000
const shortestPause = 100
/** How often it is looked whether the engine still has what was read. */
const checkMilliseconds = 5000

export class RedisEngine implements Engine {
  readonly #key: string
  readonly #events: EngineEvents
  readonly #reader
  readonly #writer
  #position = '0-0'
  readonly #stopped = new AbortController()
  #reading: Promise<void> = Promise.resolve()
  #wake: () => void = () => undefined
  #away: string | undefined

  constructor(place: EnginePlace, group: string, events: EngineEvents) {
    this.#key = `pkctl:${group}:events`
    this.#events = events
    const connect = () =>
      openClient(place, error => {
        this.#lost(engineTrouble(error))
      })
    this.#reader = connect()
    this.#writer = connect()
    this.#writer.on('ready', () => {
      this.#away = undefined
      this.#events.onReady()
    })
  }

  start(): void {
    // Neither rejects before the connection is given up, which it never is.
    void this.#writer.connect().catch(() => undefined)
    void this.#reader.connect().catch(() => undefined)
    this.#reading = this.#read()
  }

  async send(texts: readonly string[]): Promise<readonly string[]> {
    // In one write: the client sends what is asked for in one turn together.
    const sent = await Promise.allSettled(texts.map(text => this.#writer.xAdd(this.#key, '*', { [field]: text })))
    const failed = sent.find(one => one.status === 'rejected')
    if (failed) {
      const reason = engineTrouble(failed.reason as Error)
      this.#lost(reason)
      throw new Error(reason)
    }
    this.#away = undefined
    return sent.map(one => (one as PromiseFulfilledResult<string>).value)
  }

  async trim(before: number): Promise<void> {
    await this.#writer.xTrim(this.#key, 'MINID', before, { strategyModifier: '~' })
  }

  async first(): Promise<string | undefined> {
    const [entry] = (await this.#writer.xRange(this.#key, '-', '+', { COUNT: 1 })) ?? []
    return entry?.id
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    this.#wake()
    for (const client of [this.#reader, this.#writer]) if (client.isOpen) client.destroy()
    await this.#reading
  }

  async #read(): Promise<void> {
    let checkAt = 0
    while (!this.#stopped.signal.aborted) {
      try {
        if (!this.#reader.isReady) await this.#untilReadable()
        if (this.#hasStopped()) return
        if (performance.now() >= checkAt) {
          await this.#check()
          checkAt = performance.now() + checkMilliseconds
        }
        const streams = await this.#reader.xRead(
          { key: this.#key, id: this.#position },
          { COUNT: mostAtOnce, BLOCK: blockMilliseconds },
        )
        const entries = (streams?.[0]?.messages ?? []).map(({ id, message }) => ({ id, text: message[field] ?? '' }))
        this.#position = entries.at(-1)?.id ?? this.#position
        this.#events.onEntries(entries, entries.length < mostAtOnce)
      } catch (error) {
        checkAt = 0
        if (this.#hasStopped()) return
        this.#lost(engineTrouble(error as Error))
        await this.#pause(shortestPause * 5)
      }
    }
  }

  /** An engine that has restarted empty, or a replica without the latest, would not show what comes next. */
  async #check(): Promise<void> {
    if (this.#position === '0-0') return
    const [last] = (await this.#reader.xRevRange(this.#key, '+', '-', { COUNT: 1 })) ?? []
    if (last && !isBefore(last.id, this.#position)) return
    this.#position = '0-0'
    this.#events.onForgotten()
  }

  #untilReadable(): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        this.#reader.off('ready', done)
        resolve()
      }
      this.#wake = done
      this.#reader.on('ready', done)
      if (this.#reader.isReady || this.#stopped.signal.aborted) done()
    })
  }

  #pause(milliseconds: number): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, milliseconds)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #hasStopped(): boolean {
    return this.#stopped.signal.aborted
  }

  #lost(reason: string): void {
    if (this.#stopped.signal.aborted || this.#away === reason) return
    this.#away = reason
    this.#events.onAway(reason)
  }
}

/** Of two numbers of entries, `MILLISECONDS-COUNT`. */
export function isBefore(one: string, other: string): boolean {
  const [[a, b], [c, d]] = [one, other].map(id => id.split('-').map(Number)) as [[number, number], [number, number]]
  return a < c || (a === c && b < d)
}
