/**
 * Which number a verdict's mark carries for which grants. A plan keeps its number for as long as the daemon runs, and a
 * number is given anew only two reloads after its plan went: an answer that is under way during a reload grants what
 * was meant, or nothing.
 */
import type { Plan } from '../nft/queueing.js'
import type { ServiceSpec } from '../nft/service.js'

export interface Opening {
  readonly opens: readonly string[]
  /** Seconds; null for each service's own window. */
  readonly window: number | null
}

export class PlanBook {
  #numbers = new Map<string, number>()
  #resting = new Set<number>()

  constructor(readonly maxPlans: number) {}

  /** The plans for these credentials, and the number for each of them, in the same order. */
  draw(openings: readonly Opening[], services: ReadonlyMap<string, ServiceSpec>): { plans: Plan[]; numbers: number[] } {
    const wanted = openings.map(opening => grantsOf(opening, services))
    const keys = wanted.map(grants => grants.map(({ service, seconds }) => `${service.name}:${seconds}`).join(' '))
    const before = this.#numbers
    const next = new Map<string, number>()
    for (const key of keys) {
      const kept = before.get(key)
      if (kept !== undefined) next.set(key, kept)
    }
    const used = new Set([...before.values(), ...this.#resting])
    for (const key of keys) if (!next.has(key)) next.set(key, this.#take(used))
    this.#resting = new Set([...before].filter(([key]) => !next.has(key)).map(([, number]) => number))
    this.#numbers = next
    const plans = new Map(
      keys.map((key, i) => [key, { number: next.get(key) as number, grants: wanted[i] as Plan['grants'] }]),
    )
    return { plans: [...plans.values()], numbers: keys.map(key => next.get(key) as number) }
  }

  #take(used: Set<number>): number {
    for (let number = 1; number <= this.maxPlans; number++) {
      if (used.has(number)) continue
      used.add(number)
      return number
    }
    throw new Error(`the marks mask has room for ${this.maxPlans} different grants, and more are wanted`)
  }
}

function grantsOf({ opens, window }: Opening, services: ReadonlyMap<string, ServiceSpec>): Plan['grants'] {
  return opens.flatMap(name => {
    const service = services.get(name)
    return service ? [{ service, seconds: window ?? service.window }] : []
  })
}
