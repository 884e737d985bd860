/**
 * Reads back whether the kernel has made the grants of accepted knocks, before the log says that they are open: a set can
 * be full, and rules of another program can change the mark of the verdict on its way. The packet worker waits for none of it.
 */
import { parseAddress } from '../../net/index.js'
import type { Firewall, GrantAction } from '../../nft/index.js'
import type { Clock } from '../clock.js'
import { EventLimiter } from '../report/event-limiter.js'
import { TimeBudget } from '../verify/time-budget.js'

/** What a credential grants. */
export type Grants = GrantAction['grants']

/** `unknown`: not read back, because there were too many at once, or because it took too long. */
export type Confirmation =
  { readonly kind: 'made' | 'unknown' } | { readonly kind: 'missing'; readonly services: readonly string[] }

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
    readonly firewall: Pick<Firewall, 'hasGrantByKnock'>,
    readonly monotonic: Clock['monotonic'],
    /** Called for each knock that `missing` counts. */
    readonly onMissing: () => void = () => undefined,
  ) {}

  /**
   * Whether `source` has these grants, which were made a moment ago. Does not reject. `counts`: whether `missing` or
   * `unchecked` is to count it, which is asked for once for each knock.
   */
  confirm(source: string, grants: Grants, counts = true): Promise<Confirmation> {
    const confirmation = this.#confirmation(source, grants)
    if (counts) {
      void confirmation.then(({ kind }) => {
        if (kind === 'missing') {
          this.missing++
          this.onMissing()
        }
        if (kind === 'unknown') this.unchecked++
      })
    }
    return confirmation
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
      let services = await this.#missing(source, grants)
      if (services.length > 0) {
        await new Promise(resolve => setTimeout(resolve, secondLookMilliseconds))
        services = await this.#missing(
          source,
          grants.filter(({ service }) => services.includes(service.name)),
        )
      }
      if (services.length === 0) return { kind: 'made' }
      const elapsed = this.monotonic() - startedAt
      const isOver = grants.some(({ service, seconds }) => elapsed > (service.singleUse ? traceSeconds : seconds - 1))
      if (isOver) return { kind: 'unknown' }
      return { kind: 'missing', services }
    } catch {
      return { kind: 'unknown' }
    }
  }

  async #missing(source: string, grants: Grants): Promise<string[]> {
    const { version, address } = parseAddress(source)
    const missing: string[] = []
    for (const { service } of grants) {
      const end = this.#time.begin(this.monotonic())
      try {
        if (!(await this.firewall.hasGrantByKnock(service, version, address))) missing.push(service.name)
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
