/** The flags of `pkctl init` and `pktables init`, and the service that they describe. */
import type { Conflict, Rejection } from '../../config/service-rules.js'
import {
  conflictsOf,
  isLogPrefix,
  parseWindow,
  serviceBounds,
  serviceDefaults,
  serviceFrom,
} from '../../config/service-rules.js'
import { parsePacketRate } from '../../config/values.js'
import { parseInterface, parsePorts, parsePrefix, withoutContained } from '../../net/index.js'
import type { Hook, ServiceProtocol, ServiceSpec } from '../../nft/index.js'
import type { Terminal, UserError } from '../../util/index.js'
import { usageError } from '../../util/index.js'
import { checkServiceName, parseCount } from './flag-values.js'

/** A service as flags say it. */
export interface ServiceFlags {
  readonly port?: readonly string[]
  readonly udp?: boolean
  readonly syn?: boolean
  readonly protocol?: ServiceProtocol
  readonly accept?: boolean
  readonly reject?: Rejection
  readonly log?: boolean
  readonly logPrefix?: string
  readonly logLevel?: string
  readonly logLimit?: string
  readonly logBurst?: string
  readonly window: string
  readonly singleUse?: boolean
  readonly failOpen?: boolean
  readonly allow?: readonly string[]
  readonly prefix4: string
  readonly prefix6: string
  readonly hook: Hook
  readonly interface?: readonly string[]
}

/** The flags that always have a value, as text. */
export const flagDefaults = {
  window: String(serviceDefaults.window),
  prefix4: String(serviceDefaults.prefix4),
  prefix6: String(serviceDefaults.prefix6),
  hook: serviceDefaults.hook,
} as const

/** Throws a usage error that names the first flag without a valid value. */
export function serviceSpec(name: string, flags: ServiceFlags): ServiceSpec {
  const { port, reject, hook, accept = false, syn = false, singleUse = false, failOpen = false } = flags
  if (!port) throw usageError('--port is missing', 'pkctl init ssh --port 22 --syn')
  const protocol = flags.udp ? 'udp' : (flags.protocol ?? serviceDefaults.protocol)
  const [conflict] = conflictsOf({ protocol, syn, accept, reject })
  if (conflict) throw conflictError(conflict, protocol)
  return serviceFrom(checkServiceName(name), {
    protocol,
    ports: parsePorts(port.join(',')),
    syn,
    accept,
    reject,
    window: parseWindow(flags.window),
    singleUse,
    failOpen,
    allow: withoutContained((flags.allow ?? []).flatMap(text => text.split(',')).map(parsePrefix)),
    prefix4: parseCount('--prefix4', flags.prefix4, ...serviceBounds.prefix4),
    prefix6: parseCount('--prefix6', flags.prefix6, ...serviceBounds.prefix6),
    hook,
    interfaces: (flags.interface ?? []).flatMap(text => text.split(',')).map(parseInterface),
    log: logOptions(flags),
  })
}

function conflictError({ reason }: Conflict, protocol: ServiceProtocol): UserError {
  switch (reason) {
    case 'syn-needs-tcp':
      return usageError(`--syn is for TCP, and the service is ${protocol}`, 'leave out --syn, or --protocol')
    case 'reset-needs-tcp':
      return usageError(`only TCP can be reset, and the service is ${protocol}`, 'use --reject icmp')
    case 'accept-excludes-reject':
      return usageError("option '--accept' cannot be used with option '--reject'")
  }
}

function logOptions({ log, logPrefix, logLevel, logLimit, logBurst }: ServiceFlags) {
  if (!log) {
    if (logPrefix ?? logLevel ?? logLimit ?? logBurst) throw usageError('--log-… says how to log, and --log is missing')
    return null
  }
  if (logPrefix !== undefined && !isLogPrefix(logPrefix)) {
    throw usageError('--log-prefix takes at most 63 printable characters, without double quotes and backslashes')
  }
  return {
    prefix: logPrefix,
    level: logLevel,
    limit: logLimit === undefined ? undefined : parsePacketRate(logLimit),
    burst: logBurst === undefined ? undefined : parseCount('--log-burst', logBurst, ...serviceBounds.logBurst),
  }
}

/** A service that judges every packet may end the connection that the command was typed in. */
export function warnOfEndingConnections(terminal: Terminal, { protocol, syn, closing }: ServiceSpec): void {
  if (protocol !== 'tcp' || syn || closing === 'accept') return
  terminal.warn('without --syn every packet is filtered: open connections of sources without a grant end now')
}
