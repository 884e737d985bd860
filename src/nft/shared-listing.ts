import type { Listing } from './listing.js'
import type { Nft } from './nft.js'

/** Askers of one listing. */
class Round {
  readonly result: Promise<Listing>
  readonly killed = new AbortController()
  waiting = 0
  settle!: (listing: Promise<Listing>) => void

  constructor() {
    this.result = new Promise(resolve => (this.settle = resolve))
    this.result.catch(() => undefined)
  }
}

/**
 * One listing of the table at a time, however many ask for it. One that has begun may have missed what an asker has just
 * changed, so all who ask meanwhile share the next one. nft is killed when no asker of a listing waits for it any more.
 */
export class SharedListing {
  #current: Round | undefined
  #next: Round | undefined

  constructor(readonly read: (signal: AbortSignal) => Promise<Listing>) {}

  /** Rejects with the reason of `signal` when that is aborted, and like `read`. */
  async get(signal?: AbortSignal): Promise<Listing> {
    signal?.throwIfAborted()
    const round = (this.#next ??= new Round())
    round.waiting++
    const left = new Promise<never>((_, reject) => {
      const leave = () => {
        if (--round.waiting === 0) round.killed.abort()
        reject(signal?.reason as Error)
      }
      signal?.addEventListener('abort', leave, { once: true })
    })
    left.catch(() => undefined)
    this.#startNext()
    return Promise.race([round.result, left])
  }

  #startNext(): void {
    const round = this.#next
    if (this.#current || !round) return
    this.#next = undefined
    if (round.waiting === 0) return
    this.#current = round
    const reading = this.read(round.killed.signal)
    round.settle(reading)
    const end = () => {
      this.#current = undefined
      this.#startNext()
    }
    reading.then(end, end)
  }
}

/** The same, with one listing of everything at a time. */
export function withSharedListing(nft: Nft): Nft {
  const whole = new SharedListing(signal => nft.list({ signal }))
  return {
    ...nft,
    list: (options = {}) => (options.elements === false ? nft.list(options) : whole.get(options.signal)),
  }
}
