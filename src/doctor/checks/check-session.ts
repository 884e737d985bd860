/** Whether the ssh session that the doctor runs in would be refused the next time. */
import { prefixContains } from '../../net/index.js'
import type { ServiceState } from '../../nft/index.js'
import type { Facts } from '../facts.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'

export function checkSession({ session, kernel, configuration: { config } }: Facts): Finding[] {
  if (session === null) return []
  const { address, port } = session
  const guards = (spec: ServiceState['spec']) =>
    spec.closing !== 'accept' &&
    (spec.protocol === 'tcp' || spec.protocol === 'any') &&
    spec.ports.some(({ first, last }) => first <= port && port <= last)
  const specs = [...(config?.services ?? []), ...[...(kernel?.services.values() ?? [])].map(({ spec }) => spec)]
  const spec = specs.find(guards)
  if (!spec) return []
  const grants = kernel?.services.get(spec.name)?.grants ?? []
  const admitted = [...spec.allow, ...grants.map(({ source }) => source)]
  if (admitted.some(prefix => prefixContains(prefix, address))) return []
  return [
    finding(
      'session-shut-out',
      `you are here by ssh from ${address}, where service ${spec.name} would refuse a new connection${spec.syn ? '' : ', and it filters every packet: this session may end'}`,
      `keep this session open until a knock has worked; pkctl add ${address} --service ${spec.name} --for 1h grants you access`,
      { service: spec.name },
    ),
  ]
}
