/** Services that want the same ports. */
import { FirewallError } from '../nft-errors.js'
import { covers, sharePorts, portKeysOf } from '../table/gate.js'
import type { ServiceSpec } from '../table/service-spec.js'
import { specValueText } from './service-diff.js'
import type { ServiceState } from './service-state.js'

/** FirewallError where another service, which is not `replaced`, guards a port already. */
export function refuseTakenPorts(
  specs: readonly ServiceSpec[],
  existing: ReadonlyMap<string, ServiceState>,
  replaced: readonly string[],
): void {
  const names = new Set([...specs.map(spec => spec.name), ...replaced])
  const others = [...existing.values()].map(state => state.spec).filter(spec => !names.has(spec.name))
  for (const spec of specs) {
    const taken = [...others, ...specs].find(other => other.name !== spec.name && collide(spec, other))
    if (!taken) continue
    const message = `service ${spec.name}: port ${specValueText(spec.ports)} is protected by service ${taken.name} already`
    throw new FirewallError('port-taken', message, `pkctl list ${taken.name} shows it`)
  }
}

/** Whether a packet could come to both. */
export const collide = (a: ServiceSpec, b: ServiceSpec): boolean =>
  portKeysOf(a).some(x => portKeysOf(b).some(y => sharePorts(x, y)))

/** Services in the kernel that are not asked for, and all of whose ports those asked for will guard. */
export function supersededBy(specs: readonly ServiceSpec[], existing: ReadonlyMap<string, ServiceState>): string[] {
  const names = new Set(specs.map(spec => spec.name))
  const wanted = specs.flatMap(portKeysOf)
  return [...existing.values()]
    .map(state => state.spec)
    .filter(spec => !names.has(spec.name) && spec.ports.length > 0)
    .filter(spec => portKeysOf(spec).every(place => wanted.some(other => covers(other, place))))
    .map(spec => spec.name)
}
