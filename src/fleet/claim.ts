/**
 * The claim of a knock for the whole group: of several servers that get one knock, the first to claim it may grant it.
 *
 * The order is fixed: a knock is noted in the replay journal of this server, then it is claimed, then it is granted. A server that
 * ends in between has used the knock up, here and elsewhere, and no order of crashes makes it open twice. Where the engine does not
 * answer in time, the knock is refused, although the engine may have noted the claim: it is used up then, too.
 *
 * An engine that has restarted, was emptied, or took over from another one can have forgotten claims. So it says since when it has
 * all of them, and knocks that can have been claimed before are refused.
 */
import { createHmac } from 'node:crypto'

/** What the engine says of a claim. */
export interface ClaimAnswer {
  readonly isFirst: boolean
  /** Since when it has kept all claims, in Unix milliseconds of some server of the group. */
  readonly since: number
}

export interface ClaimStore {
  /** Takes what the key names for a time, if it is free, in one step. Rejects where that is not known. */
  claim(key: string, lifeMilliseconds: number): Promise<ClaimAnswer>
}

/** A knock that is verified, new, and noted in the replay journal. */
interface ClaimedKnock {
  /** The 16 bytes by which replays of it are known. */
  readonly digest: Uint8Array
  /** When it was made, in Unix seconds. */
  readonly time: number
  /** How far that can be from the clock of a server: seconds either way, and the same on all of them. */
  readonly skew: number
}

/**
 * `claimed`: another server of the group has claimed it before, or this one. `fleet-away`: the engine cannot be asked.
 * `fleet-late`: it has not answered in time. `fleet-unsure`: it may have forgotten a claim.
 */
type ClaimResult = 'first' | 'claimed' | 'fleet-away' | 'fleet-late' | 'fleet-unsure'

/** What became of knocks, since the start. */
export interface ClaimStatus {
  /** How many wait for the engine now. */
  readonly waiting: number
  readonly results: Readonly<Record<ClaimResult, number>>
  /** How long the last thousand took to be answered; null where none was. */
  readonly medianMilliseconds: number | null
  readonly longestMilliseconds: number | null
}

interface ClaimsParts {
  readonly store: ClaimStore
  /** Of the group, 32 bytes. */
  readonly key: Uint8Array
  /** Unix milliseconds. */
  readonly now: () => number
  /** Calls back after some milliseconds; what it returns takes that back. */
  readonly after: (milliseconds: number, call: () => void) => () => void
}

/** How far the clock of a server of the group can be from the true time, in milliseconds. */
export const clockTolerance = 15_000
/** A client waits for its connection meanwhile. */
const claimDeadline = 1000

/** How many of the last times are kept. */
const mostTimes = 1000

export class Claims {
  readonly #parts: ClaimsParts
  readonly #results = { first: 0, claimed: 0, 'fleet-away': 0, 'fleet-late': 0, 'fleet-unsure': 0 }
  /** In milliseconds, of the last claims that were answered. */
  readonly #times: number[] = []
  #answered = 0
  #waiting = 0

  constructor(parts: ClaimsParts) {
    this.#parts = parts
  }

  status(): ClaimStatus {
    const times = [...this.#times].sort((a, b) => a - b)
    const round = (time: number | undefined) => (time === undefined ? null : Math.round(time * 100) / 100)
    const [medianMilliseconds, longestMilliseconds] = [round(times[times.length >> 1]), round(times.at(-1))]
    return { waiting: this.#waiting, results: { ...this.#results }, medianMilliseconds, longestMilliseconds }
  }

  /** Never rejects. */
  async claim(knock: ClaimedKnock): Promise<ClaimResult> {
    const start = performance.now()
    this.#waiting++
    const result = await this.#claim(knock)
    this.#waiting--
    this.#results[result]++
    if (result !== 'fleet-away' && result !== 'fleet-late')
      this.#times[this.#answered++ % mostTimes] = performance.now() - start
    return result
  }

  async #claim(knock: ClaimedKnock): Promise<ClaimResult> {
    const { store, key, now, after } = this.#parts
    const [time, skew] = [knock.time * 1000, knock.skew * 1000]
    // Its second has a beginning and an end.
    const [earliest, latest] = [time - skew - clockTolerance, time + 1000 + skew + clockTolerance]
    const life = Math.ceil(latest + clockTolerance - now())
    if (life <= 0) return 'claimed'
    let forget: () => void = () => undefined
    const late = new Promise<'late'>(resolve => {
      forget = after(claimDeadline, () => {
        resolve('late')
      })
    })
    try {
      const answer = await Promise.race([store.claim(claimKey(key, knock.digest), life), late])
      if (answer === 'late') return 'fleet-late'
      if (!answer.isFirst) return 'claimed'
      return answer.since + clockTolerance > earliest ? 'fleet-unsure' : 'first'
    } catch {
      return 'fleet-away'
    } finally {
      forget()
    }
  }
}

/** Without the key of the group, one cannot claim a knock before it comes, nor tell what was claimed. */
const claimKey = (key: Uint8Array, digest: Uint8Array) =>
  createHmac('sha256', key).update('pkctl claim 1').update(digest).digest('base64url')
