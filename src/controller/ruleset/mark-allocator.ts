/**
 * Which number a verdict's mark carries for which grants. An action keeps its number while the daemon runs, and a number
 * is reused only two reloads after its action was removed: a verdict that is sent during a reload grants what was meant,
 * or nothing. The first number is random, so that marks of other programs' rules, which are constant, do not happen to be
 * those of actions.
 */
import type { GrantAction, ServiceSpec } from '../../nft/index.js'

export interface ActionRequest {
  readonly opens: readonly string[]
  /** Seconds; null for each service's own window. */
  readonly window: number | null
  readonly revokes: boolean
  readonly passOn: boolean
}

export interface Allocation {
  readonly actions: readonly GrantAction[]
  /** The action for each request, in the same order. */
  readonly actionOf: readonly GrantAction[]
  /** Makes the allocation final. To be called when the kernel has the actions. */
  readonly commit: () => void
}

export class MarkAllocator {
  #numbers: ReadonlyMap<string, number> = new Map()
  #resting: ReadonlySet<number> = new Set()
  #last: number

  /** `random` gives a whole number below its argument. */
  constructor(
    readonly maxActions: number,
    random: (below: number) => number,
  ) {
    this.#last = random(maxActions)
  }

  /** The actions for these requests. Throws when the mask has no room for so many. */
  allocate(requests: readonly ActionRequest[], services: ReadonlyMap<string, ServiceSpec>): Allocation {
    const wanted = requests.map(request => ({
      grants: grantsOf(request, services),
      revokes: request.revokes,
      passOn: request.passOn,
    }))
    const keys = wanted.map(keyOf)
    const before = this.#numbers
    const used = new Set([...before.values(), ...this.#resting])
    const numbers = new Map<string, number>()
    for (const key of keys) numbers.set(key, numbers.get(key) ?? before.get(key) ?? this.#take(used))
    const actionOf = wanted.map((action, i) => ({ number: numbers.get(keys[i] as string) as number, ...action }))
    return {
      actionOf,
      actions: [...new Map(actionOf.map(action => [action.number, action])).values()],
      commit: () => {
        this.#resting = new Set([...before].filter(([key]) => !numbers.has(key)).map(([, number]) => number))
        this.#numbers = numbers
      },
    }
  }

  #take(used: Set<number>): number {
    for (let tried = 0; tried < this.maxActions; tried++) {
      this.#last = (this.#last % this.maxActions) + 1
      if (used.has(this.#last)) continue
      used.add(this.#last)
      return this.#last
    }
    throw new Error(`the marks mask has room for ${this.maxActions} different grants, and more are wanted`)
  }
}

function keyOf({ grants, revokes, passOn }: Omit<GrantAction, 'number'>): string {
  const services = grants.map(({ service, seconds }) => `${service.name}:${seconds}`)
  return [revokes ? 'revoke' : 'grant', passOn ? 'pass on' : 'end', ...services].join(' ')
}

function grantsOf({ opens, window }: ActionRequest, services: ReadonlyMap<string, ServiceSpec>): GrantAction['grants'] {
  return opens.flatMap(name => {
    const service = services.get(name)
    return service ? [{ service, seconds: window ?? service.window }] : []
  })
}
