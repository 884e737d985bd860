/** What the fleet says of services and sources, on its way to the kernel: in batches, one after the other, and again after a failure. */
import type { GrantedBy } from './message.js'
import type { SharedGrants } from './shared-grants.js'

/** What a source is to have of a service by the fleet: a grant for the seconds that are left, or nothing more. */
export interface FleetChange {
  readonly service: string
  readonly source: string
  /** Who has made the grant, and how long it runs; undefined where it was revoked. */
  readonly grant?: { readonly node: string; readonly seconds: number }
  /** Whether what knocks have given the source is revoked, and what hands have. */
  readonly revokes: readonly GrantedBy[]
}

interface Place {
  readonly service: string
  readonly source: string
}

interface Due extends Place {
  /** A grant of this server is missing as well. */
  readonly isAgain?: boolean
}

interface KernelChangesParts {
  readonly words: SharedGrants
  /** The name of this node, whose own grants the kernel has. */
  readonly own: string
  readonly longestWindowSeconds: number
  /** Rejects when none of the changes was made. */
  readonly apply: (changes: readonly FleetChange[]) => Promise<void>
  readonly onTrouble: (message: string) => void
  readonly now: () => number
}

const mostAtOnce = 5000
const retryMilliseconds = 1000
/** What is granted here so soon after a revocation may have been in the kernel before it. */
const overtakenMilliseconds = 2000

export class KernelChanges {
  /** By service and source. */
  #due = new Map<string, Due>()
  /** What is being revoked in the kernel, or was a moment ago: until when that counts, by service and source. */
  readonly #revoking = new Map<string, number>()
  #isRunning = false
  #timer: NodeJS.Timeout | undefined
  #isStopped = false
  readonly #parts: KernelChangesParts

  constructor(parts: KernelChangesParts) {
    this.#parts = parts
  }

  get waiting(): number {
    return this.#due.size
  }

  /** Another word counts for the source. */
  add(place: Place): void {
    this.#due.set(keyOf(place), place)
  }

  /**
   * Something was granted here, and the kernel has it. A revocation that was made before, and was on its way to the kernel, has
   * taken it away: it is granted again then.
   */
  grantedHere(place: Place): void {
    const key = keyOf(place)
    if (this.#parts.now() < (this.#revoking.get(key) ?? -Infinity)) this.#due.set(key, { ...place, isAgain: true })
  }

  /** Makes what is due. */
  flush(): void {
    if (this.#isRunning || this.#isStopped || this.#due.size === 0) return
    this.#isRunning = true
    void this.#run()
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  async #run(): Promise<void> {
    const { apply, onTrouble } = this.#parts
    while (this.#due.size > 0 && !this.#isStopped) {
      const taken = [...this.#due].slice(0, mostAtOnce)
      for (const [key] of taken) this.#due.delete(key)
      const changes = taken.flatMap(([, place]) => this.#changeOf(place) ?? [])
      const revoked = changes.filter(({ revokes }) => revokes.length > 0).map(keyOf)
      // It can wait for the lock of the ruleset.
      for (const key of revoked) this.#revoking.set(key, Infinity)
      try {
        if (changes.length > 0) await apply(changes)
      } catch (error) {
        // A later word is the same place.
        for (const [key, place] of taken) this.#due.set(key, { ...place, ...this.#due.get(key) })
        onTrouble((error as Error).message)
        this.#timer = setTimeout(() => {
          this.#isRunning = false
          this.flush()
        }, retryMilliseconds)
        return
      } finally {
        this.#noteRevoked(revoked)
      }
    }
    this.#isRunning = false
  }

  #noteRevoked(revoked: readonly string[]): void {
    const now = this.#parts.now()
    for (const [key, until] of this.#revoking) if (until <= now) this.#revoking.delete(key)
    for (const key of revoked) this.#revoking.set(key, now + overtakenMilliseconds)
  }

  #changeOf({ service, source, isAgain = false }: Due): FleetChange | undefined {
    const { words, own, longestWindowSeconds, now } = this.#parts
    const grant = words.grantOf(service, source, now())
    const revokes = words.revokedOf(service, source)
    const seconds = grant && Math.min(Math.floor((grant.until - now()) / 1000), longestWindowSeconds)
    const isMissing = grant !== undefined && (grant.node !== own || isAgain)
    if (!isMissing && revokes.length === 0) return undefined
    return {
      ...{ service, source, revokes },
      ...(isMissing && seconds !== undefined && seconds >= 1 ? { grant: { node: grant.node, seconds } } : {}),
    }
  }
}

const keyOf = ({ service, source }: Place) => `${service} ${source}`
