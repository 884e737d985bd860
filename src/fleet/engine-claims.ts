/**
 * Claims at a Valkey or Redis, over a connection of their own, so that they do not wait behind what the fleet sends.
 *
 * Each start of an engine has a number of its own, and so has a replica that takes over. A mark of this number, which the first
 * server that connects leaves there, says since when the engine has all claims: it is read in one step with each claim.
 */
import type { ClaimAnswer, ClaimStore } from './claim.js'
import type { EnginePlace } from './engine-client.js'
import { openClient, engineTrouble } from './engine-client.js'

/** A connection without a claim for this time would be given up. */
const pingMilliseconds = 4000
/** The mark of an engine that is no longer asked goes by itself. */
const markMilliseconds = 7 * 24 * 3_600_000

export class EngineClaims implements ClaimStore {
  readonly #prefix: string
  readonly #client
  readonly #onTrouble: (message: string) => void
  readonly #ping: NodeJS.Timeout
  /** Of the start of the engine to which the connection is; undefined while it is not known. */
  #run: string | undefined
  /** The last one that was told, until it is over. */
  #trouble: string | undefined

  constructor(place: EnginePlace, group: string, onTrouble: (message: string) => void) {
    this.#prefix = `pkctl:${group}:claim`
    this.#onTrouble = onTrouble
    const forget = () => {
      this.#run = undefined
    }
    // The connection of the messages says that the engine is away.
    this.#client = openClient(place, forget)
    this.#client.on('reconnecting', forget)
    this.#client.on('ready', () => void this.#meet())
    void this.#client.connect().catch(() => undefined)
    this.#ping = setInterval(() => {
      if (this.#client.isReady) void (this.#run === undefined ? this.#meet() : this.#mark().catch(() => undefined))
    }, pingMilliseconds)
  }

  async claim(key: string, lifeMilliseconds: number): Promise<ClaimAnswer> {
    const run = this.#run
    if (run === undefined) throw new Error('not connected')
    const mark = this.#markOf(run)
    const replies = await this.#client
      .multi()
      .set(mark, Date.now(), { condition: 'NX', expiration: { type: 'PX', value: markMilliseconds } })
      .get(mark)
      .set(`${this.#prefix}:${key}`, 1, { condition: 'NX', expiration: { type: 'PX', value: lifeMilliseconds } })
      .exec()
    const [, since, claimed] = replies as unknown as (string | null)[]
    const isSame = run === this.#run && /^\d{1,15}$/.test(since ?? '')
    return { isFirst: claimed === 'OK', since: isSame ? Number(since) : Infinity }
  }

  stop(): void {
    clearInterval(this.#ping)
    if (this.#client.isOpen) this.#client.destroy()
  }

  /** Asks which start of the engine this is, and leaves the mark. */
  async #meet(): Promise<void> {
    try {
      const facts = new Map([...(await this.#client.info()).matchAll(/^(\w+):(.*?)\r?$/gm)].map(([, a, b]) => [a, b]))
      const run = facts.get('run_id')
      if (run === undefined) throw new Error('it does not say which start of it this is')
      // What is evicted is forgotten.
      if (facts.get('maxmemory') !== '0' && facts.get('maxmemory_policy') !== 'noeviction')
        throw new Error(`its maxmemory-policy is ${facts.get('maxmemory_policy')}, and must be noeviction`)
      this.#run = run
      await this.#mark()
      this.#trouble = undefined
    } catch (error) {
      this.#run = undefined
      const trouble = engineTrouble(error as Error)
      if (!this.#client.isReady || trouble === this.#trouble) return
      this.#trouble = trouble
      this.#onTrouble(trouble)
    }
  }

  /** Leaves the mark where there is none, and keeps it. */
  async #mark(): Promise<void> {
    const mark = this.#markOf(this.#run ?? '')
    await this.#client
      .multi()
      .set(mark, Date.now(), { condition: 'NX', expiration: { type: 'PX', value: markMilliseconds } })
      .pExpire(mark, markMilliseconds)
      .exec()
  }

  #markOf = (run: string) => `${this.#prefix}s:${run}`
}
