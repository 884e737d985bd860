/** Services that protect the same port. */
import type { PortRange } from '../net/index.js'
import { formatPortRange } from '../net/index.js'
import type { ServiceSpec } from '../nft/index.js'
import type { Context } from './context.js'
import { formatPosition } from './config-error.js'

/** The kernel looks a packet's service up by protocol and port, so that there can be only one. */
export function checkOverlaps(services: readonly ServiceSpec[], { merged, findings }: Context): void {
  services.forEach((service, i) => {
    for (const earlier of services.slice(0, i)) {
      const shared = sharedPort(service, earlier)
      if (shared === undefined) continue
      const first = formatPosition(merged.positionOf(['services', earlier.name, 'port']))
      findings.problem(
        merged.positionOf(['services', service.name, 'port']),
        `services.${service.name}.port: ${shared} belongs to services.${earlier.name} already, at ${first}`,
      )
    }
  })
}

function sharedPort(a: ServiceSpec, b: ServiceSpec): string | undefined {
  if (a.hook !== b.hook || (a.protocol !== b.protocol && a.protocol !== 'any' && b.protocol !== 'any')) return undefined
  const protocol = a.protocol === 'any' ? b.protocol : a.protocol
  for (const one of a.ports) {
    const other = b.ports.find(range => range.first <= one.last && range.last >= one.first)
    if (other) return `${protocol} port ${commonPorts(one, other)}`
  }
  return undefined
}

function commonPorts(a: PortRange, b: PortRange): string {
  return formatPortRange({ first: Math.max(a.first, b.first), last: Math.min(a.last, b.last) })
}
