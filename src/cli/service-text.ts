/** A service in words, as several commands print it. */
import { formatPorts } from '../net/index.js'
import type { ServiceSpec } from '../nft/index.js'

/** `22,8000-8010/tcp` */
export function portsText({ ports, protocol }: ServiceSpec): string {
  return `${formatPorts(ports)}/${protocol}`
}

/** What a service does, in a few words. */
export function summaryOf(spec: ServiceSpec): string {
  return [
    spec.syn ? 'new connections' : 'all packets',
    spec.closing === 'accept' ? 'only watched' : `else ${spec.closing}`,
    `${spec.window} s a knock`,
    ...(spec.singleUse ? ['single use'] : []),
    ...(spec.failOpen ? ['fail-open'] : []),
    ...(spec.hook === 'prerouting' ? ['prerouting'] : []),
    ...(spec.prefix4 === 32 && spec.prefix6 === 128 ? [] : [`grants /${spec.prefix4} and /${spec.prefix6}`]),
    ...(spec.log ? ['logged'] : []),
  ].join(', ')
}
