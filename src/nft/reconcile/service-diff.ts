/** How a service in the kernel differs from what it should be, in words. */
import { formatPortRange } from '../../net/index.js'
import type { ServiceSpec } from '../table/service-spec.js'
import type { ServiceState } from './service-state.js'

/** An option that is another in the kernel than it should be. */
export interface Difference {
  readonly option: string
  readonly is: string
  readonly wanted: string
}

/** What is said of a service whose rules were edited. */
export const repairedMessage = (name: string): string =>
  `service ${name} restored: its rules were not as pkctl made them`

/** All options but the name, in the order in which they are shown. */
const options = [
  ...(['protocol', 'ports', 'syn', 'closing', 'window', 'singleUse', 'failOpen'] as const),
  ...(['allow', 'prefix4', 'prefix6', 'hook', 'interfaces', 'log'] as const),
] satisfies (keyof ServiceSpec)[]

/** The options in which they differ. */
export function optionsThatDiffer(spec: ServiceSpec, state: ServiceState): Difference[] {
  return options
    .map(option => ({ option, is: specValueText(state.spec[option]), wanted: specValueText(spec[option]) }))
    .filter(({ is, wanted }) => is !== wanted)
}

/** A sentence for each difference; none when the kernel has just this service. */
export function differences(spec: ServiceSpec, state: ServiceState | undefined): string[] {
  if (!state) return [`service ${spec.name} added`]
  const changes = optionsThatDiffer(spec, state).map(({ option, is, wanted }) => `${option}: ${is} -> ${wanted}`)
  return state.sound ? changes : [...changes, repairedMessage(spec.name)]
}

/** A value of a spec; lists sorted, for their order means nothing. */
export function specValueText(value: ServiceSpec[keyof ServiceSpec]): string {
  if (typeof value !== 'object' || value === null) return String(value)
  if (!Array.isArray(value)) return JSON.stringify(value)
  const items = value as readonly (string | { first: number; last: number })[]
  const words = items.map(item => (typeof item === 'string' ? item : formatPortRange(item)))
  return words.sort().join(',') || 'none'
}
