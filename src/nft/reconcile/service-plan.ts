/** Services as they shall be, next to those that there are: what has to be added, changed and taken away. */
import type { ServiceGrant } from '../table/grant-elements.js'
import type { ServiceSpec } from '../table/service-spec.js'
import type { Difference } from './service-diff.js'
import { optionsThatDiffer } from './service-diff.js'
import type { ServiceState } from './service-state.js'

/** What `rearrange` shall bring about. */
export interface DesiredServices {
  /** Services that shall be there, just so. */
  readonly specs: readonly ServiceSpec[]
  /** Names of services that shall go; `others` are all that `specs` does not name. */
  readonly remove: readonly string[] | 'others'
  /** Let a service go, too, that guards nothing but what `specs` guard: it has been renamed. */
  readonly replace?: boolean
  /** Grants that are put back with a service that is made anew; what names no service is left out. */
  readonly grants?: readonly ServiceGrant[]
  /** Grants by hand that are taken back. */
  readonly revoke?: readonly ServiceGrant[]
}

/** What `rearrange` is about to do. */
export interface ServicePlan {
  /** The services of before; with their grants if any is removed, or grants by other prefixes from now on. */
  readonly before: ReadonlyMap<string, ServiceState>
  readonly after: ReadonlyMap<string, ServiceSpec>
  readonly added: readonly ServiceSpec[]
  readonly modified: readonly ServiceChange[]
  readonly removed: readonly ServiceState[]
  /** Services that stay though they are not asked for. */
  readonly left: readonly string[]
}

interface ServiceChange {
  readonly spec: ServiceSpec
  readonly differences: readonly Difference[]
  /** False when its rules were edited by somebody. */
  readonly sound: boolean
}

export const prefixesDiffer = (spec: ServiceSpec, other: ServiceSpec = spec): boolean =>
  spec.prefix4 !== other.prefix4 || spec.prefix6 !== other.prefix6

export function servicePlan(
  specs: readonly ServiceSpec[],
  replaced: readonly string[],
  before: ReadonlyMap<string, ServiceState>,
): ServicePlan {
  const removed = replaced.flatMap(name => before.get(name) ?? [])
  const left = [...before.keys()].filter(name => !replaced.includes(name) && specs.every(spec => spec.name !== name))
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
    removed,
    left,
  }
}
