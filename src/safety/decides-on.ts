/** Whether a service decides on the packets of an ssh session. */
import { matchesInterface, prefixContains } from '../net/index.js'
import type { ServiceSpec } from '../nft/index.js'
import type { Session } from './ssh-session.js'

/** Whether it protects the port of the session, and has no prefix that always admits its address. */
export function decidesOn(spec: ServiceSpec, { address, port, interfaces }: Session): boolean {
  const { protocol, ports, closing, allow } = spec
  if (protocol !== 'tcp' && protocol !== 'any') return false
  if (closing === 'accept' || !ports.some(({ first, last }) => first <= port && port <= last)) return false
  if (interfaces && !isFiltered(spec.interfaces, interfaces)) return false
  return !allow.some(prefix => prefixContains(prefix, address))
}

const isFiltered = (named: readonly string[], interfaces: readonly string[]) =>
  named.length === 0 || interfaces.some(name => named.some(pattern => matchesInterface(pattern, name)))
