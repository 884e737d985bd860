/**
 * Grants to addresses that a knock names on behalf of another host, and those of a part of what a credential opens. The
 * kernel adds the source of a packet only, and for all that a mark stands for, so these grants are added as by
 * `pkctl add`, one after the other.
 */
import { parseAddress } from '../../net/index.js'
import type { Firewall } from '../../nft/index.js'
import type { ClosingKnocks } from './closing-knocks.js'
import type { RequestedPart } from '../verify/requested-part.js'
import { partOf } from '../verify/requested-part.js'
import type { Granted } from '../report/knock-messages.js'
import type { Log } from '../report/log-interface.js'
import type { GrantOutcome } from './grant-outcome.js'
import type { TriggerSchedule } from '../triggers/trigger-schedule.js'

/** Each starts processes. A client that sends many must not keep commands from getting the lock. */
const maxWaiting = 100
/** More fail at once, and not in their turn, so that no sender of many takes up memory without bound. */
const maxChained = 1000
/** Commands wait for the lock, which others of pkctl may have. The log waits for no longer; the failure is logged by itself then. */
const patienceMilliseconds = 10_000

/** What is asked for; undefined for all that the credential opens. */
interface OnBehalfRequest {
  readonly kind: 'grant' | 'revoke'
  readonly credential: string
  readonly address: string
  readonly part?: RequestedPart | undefined
}

interface Pending {
  readonly outcome: Promise<GrantOutcome>
  /** Someone waits for the outcome, and logs a failure. */
  isAwaited: boolean
}

export class OnBehalfGrants {
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0
  /** The latest request of each kind. */
  readonly #pending = new Map<string, Pending>()

  /** `grantsOf` gives what a credential opens; undefined when it is gone from the configuration. */
  constructor(
    readonly firewall: Pick<Firewall, 'addGrant'>,
    readonly triggers: Pick<TriggerSchedule, 'opened' | 'closed'>,
    readonly log: Log,
    readonly grantsOf: (credential: string) => Granted | undefined,
    readonly closings: Pick<ClosingKnocks, 'begin'>,
    /** Called for each grant that is not made. */
    readonly onFailed: () => void = () => undefined,
  ) {}

  /** Adds a grant for `address` after those that were requested before. Resolves when it is made; a failure is logged. */
  request(credential: string, address: string, part?: RequestedPart): Promise<void> {
    return this.#inTurn({ kind: 'grant', credential, address, part }, undone =>
      this.#grant(credential, address, part, undone),
    )
  }

  /** The same, where `address` loses what knocks have granted it. */
  revoke(credential: string, address: string, part?: RequestedPart): void {
    const close = this.closings.begin(credential, address)
    void this.#inTurn({ kind: 'revoke', credential, address, part }, async undone => {
      const isAll = await close([...undone], service => undone.delete(service))
      // While a part of what was opened runs on, on-close would end all of it.
      if (isAll || part === undefined) this.triggers.closed(credential, parseAddress(address).address)
    })
  }

  /** What becomes of the latest such request, for who logs it then; `unknown` when it takes too long. Does not reject. */
  async outcome(request: OnBehalfRequest): Promise<GrantOutcome> {
    const pending = this.#pending.get(keyOf(request))
    if (!pending) return { kind: 'unknown' }
    pending.isAwaited = true
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<GrantOutcome>(resolve => {
      timer = setTimeout(() => {
        pending.isAwaited = false
        resolve({ kind: 'unknown' })
      }, patienceMilliseconds)
    })
    return Promise.race([pending.outcome, late]).finally(() => {
      clearTimeout(timer)
    })
  }

  /** Resolves when all that was requested so far is done. */
  async settled(): Promise<void> {
    await this.#last
  }

  /** `work` takes out of its argument which services are done. */
  #inTurn(request: OnBehalfRequest, work: (undone: Set<string>) => Promise<void>): Promise<void> {
    const { kind, credential, address, part } = request
    const undone = new Set(partOf(this.grantsOf(credential) ?? [], part).map(({ service }) => service.name))
    const isFull = this.#waiting >= maxWaiting
    const isChained = this.#waiting < maxChained
    if (isChained) this.#waiting++
    const outcome = (isChained ? this.#last : Promise.resolve())
      .then(() => (isFull ? Promise.reject(new Error(`${maxWaiting} others were waiting already`)) : work(undone)))
      .then(
        (): GrantOutcome => ({ kind: 'made' }),
        (error: unknown): GrantOutcome => ({ kind: 'failed', services: [...undone], reason: (error as Error).message }),
      )
    const pending = this.#note(request, outcome)
    const done = outcome.then(result => {
      if (isChained) this.#waiting--
      if (result.kind !== 'failed') return
      if (kind === 'grant') this.onFailed()
      if (!pending.isAwaited) this.#fail({ kind, credential, address }, result.reason)
    })
    if (isChained) this.#last = done
    return done
  }

  /** Keeps the outcome for as long as it is not known. */
  #note(request: OnBehalfRequest, outcome: Promise<GrantOutcome>): Pending {
    const key = keyOf(request)
    const pending = { outcome, isAwaited: false }
    this.#pending.set(key, pending)
    void outcome.then(() => this.#pending.get(key) === pending && this.#pending.delete(key))
    return pending
  }

  #fail({ kind, credential, address }: OnBehalfRequest, reason: string): void {
    const what =
      kind === 'grant'
        ? `${address} could not be granted access on behalf, by ${credential}`
        : `the grants of ${address} could not be revoked, by ${credential}`
    this.log.error(`${what}: ${reason}`, { credential })
  }

  async #grant(credential: string, asked: string, part: RequestedPart | undefined, undone: Set<string>): Promise<void> {
    const all = this.grantsOf(credential)
    if (!all) return
    const grants = partOf(all, part)
    // The line of a key can leave nothing of what its credential opens.
    if (part && grants.length === 0) return
    const { version, address } = parseAddress(asked)
    for (const { service, seconds } of grants) {
      const time = seconds === Infinity ? null : seconds
      // Neither a copy of a knock nor another credential may cut a grant short.
      await this.firewall.addGrant(service.name, version, address, time, true)
      undone.delete(service.name)
    }
    const isOwnTime = part?.atMost === undefined && part?.atLeast === undefined
    const longest = isOwnTime ? undefined : Math.max(...grants.map(({ seconds }) => seconds))
    this.triggers.opened(credential, address, part?.seconds ?? longest)
  }
}

const keyOf = ({ kind, credential, address, part }: OnBehalfRequest) =>
  JSON.stringify([kind, credential, address, part])
