/** A service in words, as several commands print it. */
import { formatPorts } from '../../net/index.js'
import type { ServiceSpec } from '../../nft/index.js'
import { durationText, timeText } from '../../util/index.js'

/** `22,8000-8010/tcp` */
export function portsText({ ports, protocol }: ServiceSpec): string {
  return `${formatPorts(ports)}/${protocol}`
}

/** What a service does, in a few words. */
export function serviceSummary(spec: ServiceSpec): string {
  return [
    spec.syn ? 'new connections' : 'all packets',
    spec.closing === 'accept' ? 'only watched' : `else ${spec.closing}`,
    `${durationText(spec.window)} a knock`,
    ...(spec.singleUse ? ['single use'] : []),
    ...(spec.failOpen ? ['fail-open'] : []),
    ...(spec.hook === 'prerouting' ? ['prerouting'] : []),
    ...(spec.interfaces.length > 0 ? [`only by ${spec.interfaces.join(', ')}`] : []),
    ...(spec.prefix4 === 32 && spec.prefix6 === 128 ? [] : [`grants /${spec.prefix4} and /${spec.prefix6}`]),
    ...(spec.log ? ['logged'] : []),
  ].join(', ')
}

// What was done, for the terminal and for the log.

export const protectsText = (spec: ServiceSpec): string => `service ${spec.name} protects ${portsText(spec)}`

export const removedText = (spec: ServiceSpec): string =>
  `service ${spec.name} removed: ${portsText(spec)} is open to everyone now, unless other rules close it`

/** `seconds` is null for a grant without a time limit. */
export const grantedText = (address: string, service: string, seconds: number | null): string =>
  `${address} may use ${service}${seconds === null ? '' : ` ${timeText(seconds)}`}`

export const revokedText = (address: string, service: string): string => `${address} may no longer use ${service}`
