/**
 * Reads back whether the kernel has made the grants of accepted knocks, before the log says that they are open: a set can
 * be full, and rules of another program can change the mark of the verdict on its way. That an earlier grant of the source runs
 * does not count: how long it runs says which of them it is. The packet worker waits for none of it.
 */
import { parseAddress } from '../../net/index.js'
import type { Firewall, GrantAction } from '../../nft/index.js'
import type { Clock } from '../clock.js'
import { EventLimiter } from '../report/event-limiter.js'
import { TimeBudget } from '../verify/time-budget.js'

/** What a credential grants. */
export type Grants = GrantAction['grants']

/** What became of the grants that the kernel makes for an accepted knock. */
export type Confirmation =
  /** `unknown`: not read back, because there were too many at once, or because it took too long. */
  | { readonly kind: 'made' | 'unknown' }
  /** `runsFor`: the seconds for which all of these services are open all the same, by an earlier grant. */
  | { readonly kind: 'missing'; readonly services: readonly string[]; readonly runsFor?: number }

/** The seconds that are left of an address in a set; undefined when it is not known. */
type SecondsLeft = (set: string, source: string) => number | undefined

/** A service without its grant, and what an earlier one has left. */
interface Missing {
  readonly service: string
  readonly left: number
}

/** Each starts a process for every service. */
const readsPerSecond = 20
/** Of a processor, all reads together take so much: some milliseconds each, and on slow machines a hundred. */
const shareOfTime = 0.1
/** What can be saved for knocks that come together, in seconds. */
const mostSaved = 1
/** What is told of one knock, to the log and to its commands, is read once. */
const sharedSeconds = 0.05
/** An nft that hangs keeps neither the log nor commands waiting for longer. */
const patienceMilliseconds = 2000
/** Another program may have deleted the table, which is made again with its grants. */
const secondLookMilliseconds = 300
/** A grant that has less left than it was given, by more than this, is an earlier one. Messages of knocks can be late. */
const earlierSeconds = 5
/** A grant of single use leaves a trace for a second after its use. */
const traceSeconds = 0.8

export class GrantConfirmation {
  /** How many accepted knocks were found without their grant. */
  missing = 0
  /** For how many accepted knocks the kernel was not asked, or has not answered in time. */
  unchecked = 0
  readonly #reads = new EventLimiter(readsPerSecond)
  readonly #time = new TimeBudget(shareOfTime, mostSaved)
  readonly #shared = new Map<string, { readonly startedAt: number; readonly confirmation: Promise<Confirmation> }>()

  constructor(
    readonly firewall: Pick<Firewall, 'grantByKnock'>,
    readonly monotonic: Clock['monotonic'],
    /** Called for each knock that `missing` counts. */
    readonly onMissing: () => void = () => undefined,
    readonly secondsLeft: SecondsLeft = () => undefined,
  ) {}

  /**
   * Whether `source` has these grants, which were made a moment ago. Does not reject. `counts`: whether `missing` or
   * `unchecked` is to count it, which is asked for once for each knock.
   */
  confirm(source: string, grants: Grants, counts = true): Promise<Confirmation> {
    const confirmation = this.#confirmation(source, grants)
    if (counts) {
      void confirmation.then(({ kind }) => {
        if (kind === 'missing') this.fail()
        if (kind === 'unknown') this.unchecked++
      })
    }
    return confirmation
  }

  /** An accepted knock was left without its grant. */
  fail(): void {
    this.missing++
    this.onMissing()
  }

  /** Accepted knocks that nothing is told of, because there are too many. */
  skip(knocks: number): void {
    this.unchecked += knocks
  }

  #confirmation(source: string, grants: Grants): Promise<Confirmation> {
    const startedAt = this.monotonic()
    const key = [source, ...grants.map(({ service }) => service.name)].join(' ')
    const shared = this.#shared.get(key)
    if (shared && startedAt - shared.startedAt < sharedSeconds) return shared.confirmation
    if (!this.#time.isLeft(startedAt) || !this.#reads.pass(startedAt)) return Promise.resolve({ kind: 'unknown' })
    const confirmation = withinPatience(this.#read(source, grants, startedAt))
    const own = { startedAt, confirmation }
    this.#shared.set(key, own)
    void confirmation.then(() => this.#shared.get(key) === own && this.#shared.delete(key))
    return confirmation
  }

  async #read(source: string, grants: Grants, startedAt: number): Promise<Confirmation> {
    try {
      let missing = await this.#missing(source, grants, startedAt)
      if (missing.length > 0) {
        await new Promise(resolve => setTimeout(resolve, secondLookMilliseconds))
        const again = grants.filter(({ service: { name } }) => missing.some(({ service }) => service === name))
        missing = await this.#missing(source, again, startedAt)
      }
      if (missing.length === 0) return { kind: 'made' }
      const elapsed = this.monotonic() - startedAt
      const isOver = grants.some(({ service, seconds }) => elapsed > (service.singleUse ? traceSeconds : seconds - 1))
      if (isOver) return { kind: 'unknown' }
      const runsFor = Math.min(...missing.map(({ left }) => left))
      const services = missing.map(({ service }) => service)
      return { kind: 'missing', services, ...(runsFor > 0 ? { runsFor } : {}) }
    } catch {
      return { kind: 'unknown' }
    }
  }

  async #missing(source: string, grants: Grants, since: number): Promise<Missing[]> {
    const { version, address } = parseAddress(source)
    const missing: Missing[] = []
    for (const { service, seconds } of grants) {
      const end = this.#time.begin(this.monotonic())
      try {
        const found = await this.firewall.grantByKnock(service, version, address)
        if (found === 'used') continue
        const left = found ? this.secondsLeft(found.set, found.source) : 0
        const expected = seconds - (this.monotonic() - since) - earlierSeconds
        if (left !== undefined && (found === undefined || left < expected))
          missing.push({ service: service.name, left })
      } finally {
        end(this.monotonic())
      }
    }
    return missing
  }
}

async function withinPatience(confirmation: Promise<Confirmation>): Promise<Confirmation> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Confirmation>(resolve => {
    timer = setTimeout(resolve, patienceMilliseconds, { kind: 'unknown' })
  })
  return Promise.race([confirmation, late]).finally(() => {
    clearTimeout(timer)
  })
}
