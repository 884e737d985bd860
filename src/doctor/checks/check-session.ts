/** Whether the ssh session that the doctor runs in would be refused the next time. */
import { prefixContains } from '../../net/index.js'
import { decidesOn } from '../../safety/index.js'
import type { Facts } from '../facts.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'

export function checkSession({ session, kernel, configuration: { config } }: Facts): Finding[] {
  if (session === null) return []
  const { address } = session
  const specs = [...(config?.services ?? []), ...[...(kernel?.services.values() ?? [])].map(({ spec }) => spec)]
  const spec = specs.find(one => decidesOn(one, session))
  if (!spec) return []
  const grants = kernel?.services.get(spec.name)?.grants ?? []
  if (grants.some(({ source }) => prefixContains(source, address))) return []
  return [
    finding(
      'session-shut-out',
      `you are here by ssh from ${address}, where service ${spec.name} would refuse a new connection${spec.syn ? '' : ', and it filters every packet: this session may end'}`,
      `keep this session open until a knock has worked; pkctl add ${address} --service ${spec.name} --for 1h grants you access`,
      { service: spec.name },
    ),
  ]
}
