/**
 * Which number a verdict's mark carries for which grants. A plan keeps its number for as long as the daemon runs, and a
 * number is given anew only two reloads after its plan went: an answer that is under way during a reload grants what
 * was meant, or nothing. Where the numbers begin is drawn at random, so that marks which others set by their own rules,
 * always the same ones, do not happen to be those of plans.
 */
import type { GrantAction } from '../nft/table/packet-path-spec.js'
import type { ServiceSpec } from '../nft/table/service-spec.js'

export interface GrantRequest {
  readonly opens: readonly string[]
  /** Seconds; null for each service's own window. */
  readonly window: number | null
  readonly revokes: boolean
  readonly passOn: boolean
}

export interface Allocation {
  readonly actions: readonly GrantAction[]
  /** The plan for each opening, in the same order. */
  readonly actionOf: readonly GrantAction[]
  /** Makes the drawing count: to be called when the kernel has the plans. */
  readonly commit: () => void
}

export class MarkAllocator {
  #numbers: ReadonlyMap<string, number> = new Map()
  #resting: ReadonlySet<number> = new Set()
  #last: number

  /** `random` gives a whole number below its argument. */
  constructor(
    readonly maxPlans: number,
    random: (below: number) => number,
  ) {
    this.#last = random(maxPlans)
  }

  /** The plans for these credentials. Throws when the mask has no room for so many. */
  allocate(openings: readonly GrantRequest[], services: ReadonlyMap<string, ServiceSpec>): Allocation {
    const wanted = openings.map(opening => ({
      grants: grantsOf(opening, services),
      revokes: opening.revokes,
      passOn: opening.passOn,
    }))
    const keys = wanted.map(keyOf)
    const before = this.#numbers
    const used = new Set([...before.values(), ...this.#resting])
    const numbers = new Map<string, number>()
    for (const key of keys) numbers.set(key, numbers.get(key) ?? before.get(key) ?? this.#take(used))
    const actionOf = wanted.map((plan, i) => ({ number: numbers.get(keys[i] as string) as number, ...plan }))
    return {
      actionOf,
      actions: [...new Map(actionOf.map(plan => [plan.number, plan])).values()],
      commit: () => {
        this.#resting = new Set([...before].filter(([key]) => !numbers.has(key)).map(([, number]) => number))
        this.#numbers = numbers
      },
    }
  }

  #take(used: Set<number>): number {
    for (let tried = 0; tried < this.maxPlans; tried++) {
      this.#last = (this.#last % this.maxPlans) + 1
      if (used.has(this.#last)) continue
      used.add(this.#last)
      return this.#last
    }
    throw new Error(`the marks mask has room for ${this.maxPlans} different grants, and more are wanted`)
  }
}

function keyOf({ grants, revokes, passOn }: Omit<GrantAction, 'number'>): string {
  const services = grants.map(({ service, seconds }) => `${service.name}:${seconds}`)
  return [revokes ? 'revoke' : 'grant', passOn ? 'pass on' : 'end', ...services].join(' ')
}

function grantsOf({ opens, window }: GrantRequest, services: ReadonlyMap<string, ServiceSpec>): GrantAction['grants'] {
  return opens.flatMap(name => {
    const service = services.get(name)
    return service ? [{ service, seconds: window ?? service.window }] : []
  })
}
