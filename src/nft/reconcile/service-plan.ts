/** What a change does to the services: which it adds, changes and removes. */
import type { ServiceSpec } from '../table/service-spec.js'
import type { Difference } from './service-diff.js'
import { optionsThatDiffer } from './service-diff.js'
import type { ServiceState } from './service-state.js'

export interface ServicePlan {
  /** The services of before; with their grants if any is removed, or grants by other prefixes from now on. */
  readonly before: ReadonlyMap<string, ServiceState>
  readonly after: ReadonlyMap<string, ServiceSpec>
  readonly added: readonly ServiceSpec[]
  readonly modified: readonly ModifiedService[]
  readonly removed: readonly ServiceState[]
  /** Services that stay though the change does not name them. */
  readonly left: readonly string[]
}

interface ModifiedService {
  readonly spec: ServiceSpec
  readonly differences: readonly Difference[]
  /** False when its rules were edited. */
  readonly sound: boolean
}

export const prefixesDiffer = (spec: ServiceSpec, other: ServiceSpec = spec): boolean =>
  spec.prefix4 !== other.prefix4 || spec.prefix6 !== other.prefix6

export function servicePlan(
  specs: readonly ServiceSpec[],
  removed: readonly string[],
  before: ReadonlyMap<string, ServiceState>,
): ServicePlan {
  const left = [...before.keys()].filter(name => !removed.includes(name) && specs.every(spec => spec.name !== name))
  const staying = left.flatMap(name => before.get(name)?.spec ?? [])
  return {
    before,
    after: new Map([...staying, ...specs].map(spec => [spec.name, spec])),
    added: specs.filter(({ name }) => !before.has(name)),
    modified: specs.flatMap(spec => {
      const state = before.get(spec.name)
      if (!state) return []
      const change = { spec, differences: optionsThatDiffer(spec, state), sound: state.sound }
      return change.differences.length > 0 || !change.sound ? [change] : []
    }),
    removed: removed.flatMap(name => before.get(name) ?? []),
    left,
  }
}
