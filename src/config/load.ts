/** Reads /etc/pkctl/pkctl.yaml and conf.d beside it: all problems at once, or a configuration with every default. */
import * as path from 'node:path'
import type * as z from 'zod'
import type { PortRange } from '../net/ports.js'
import { formatPortRange, subtractPorts } from '../net/ports.js'
import type { LogRule, ServiceSpec } from '../nft/table/service-spec.js'
import type { ConfigPath } from './config-path.js'
import { formatPath, isMapping } from './config-path.js'
import type { Context } from './context.js'
import { namedEntries } from './context.js'
import { checkTwins, warnOfTails } from './credentials/checks.js'
import { loadCredentials } from './credentials/load.js'
import type { SourcePosition } from './errors.js'
import { ConfigError, Findings, formatPosition } from './errors.js'
import { reportIssues } from './issues.js'
import { mergeSources } from './merge-sources.js'
import type { SourceFile } from './positions.js'
import { startOf } from './positions.js'
import { readSources } from './read-sources.js'
import type { ConfigReader } from './reader.js'
import { nodeReader } from './reader.js'
import { mappingSections, serviceSchema, settingsSchema } from './schema.js'
import { warnOfReadableConfig } from './secrets.js'
import type { Config, LoadedConfig } from './types.js'

export type { ConfigReader } from './reader.js'

/** The configuration that `file` and its conf.d give. Throws a ConfigError with everything that is wrong, else nothing. */
export function loadConfig(file: string, reader: ConfigReader = nodeReader): LoadedConfig {
  const findings = new Findings()
  const sources = readSources(file, reader, findings)
  refuseNothing(file, sources, findings)
  const merged = mergeSources(file, sources, mappingSections, findings)
  const allowReadableKeys = merged.value['allow-readable-keys'] === true
  const context: Context = { merged, findings, reader, allowReadableKeys }
  const settings = loadSettings(context)
  const services = loadServices(context)
  const credentials = loadCredentials(context)
  checkTwins(credentials, context)
  warnOfTails(credentials, context)
  warnOfReadableConfig(context)

  if (findings.problems.length > 0 || settings === undefined) {
    throw new ConfigError([...findings.problems].sort(byPlace(file)), { services, ...settings })
  }
  return { config: { file: path.resolve(file), ...settings, services, credentials }, warnings: findings.warnings }
}

/** Rather a file that was cut off than the wish to guard nothing, which must not open everything at the next boot. */
function refuseNothing(file: string, sources: readonly SourceFile[], findings: Findings): void {
  const isEmpty = ({ document: { contents, comment, commentBefore } }: SourceFile) =>
    contents === null && !comment && !commentBefore
  if (findings.problems.length > 0 || !sources.every(isEmpty)) return
  findings.problem(startOf(file), 'the configuration is empty', "'services: {}' says that nothing is to be guarded")
}

/** The main file first, conf.d by name, as they are read. */
const byPlace = (main: string) => (a: SourcePosition, b: SourcePosition) => {
  if (a.file !== b.file) return a.file === main || (b.file !== main && a.file < b.file) ? -1 : 1
  return a.line - b.line || a.column - b.column
}

function loadSettings({ merged, findings }: Context): Omit<Config, 'file' | 'services' | 'credentials'> | undefined {
  const isSetting = ([key]: [string, unknown]) => key !== 'services' && key !== 'credentials'
  const given = Object.fromEntries(Object.entries(merged.value).filter(isSetting))
  const { success, data, error } = settingsSchema.safeParse(given)
  if (!success) {
    reportIssues(error.issues, [], merged, findings)
    return undefined
  }
  return {
    queue: { number: data.queue.number, maxLength: data.queue['max-length'] },
    marks: data.marks,
    limits: {
      perSource: data.limits['per-source'],
      excess: data.limits.excess,
      total: data.limits.total,
      replayEntries: data.limits['replay-entries'],
      anyClockEntries: data.limits['any-clock-entries'],
      triggersAtOnce: data.limits['triggers-at-once'],
      triggersWaiting: data.limits['triggers-waiting'],
    },
    openPorts: data['open-ports'],
    stateDirectory: data['state-directory'],
    socket: { path: data.socket.path, group: data.socket.group, groupMay: data.socket['group-may'] },
    log: data.log,
  }
}

/** The entries of a section whose keys are names, without those whose name cannot be one. */
function loadServices(context: Context): ServiceSpec[] {
  const { merged, findings } = context
  const services = namedEntries('services', context).flatMap(([name, given]) => {
    const at = ['services', name]
    if (isMapping(given)) checkServiceOptions(given, at, context)
    const { success, data, error } = serviceSchema.safeParse(given)
    if (success) return servicesOf(name, data, at, context)
    reportIssues(error.issues, at, merged, findings)
    return []
  })
  checkOverlaps(services, context)
  return services
}

/** What two options of a service say to each other; their own values are checked elsewhere. */
function checkServiceOptions(given: Record<string, unknown>, at: ConfigPath, { merged, findings }: Context): void {
  const { protocol = 'tcp', syn, accept } = given
  if (syn === true && typeof protocol === 'string' && ['udp', 'sctp', 'any'].includes(protocol)) {
    const key = [...at, 'syn']
    findings.problem(merged.placeOf(key), `${formatPath(key)}only protocol tcp can have it, this is ${protocol}`)
  }
  if (given['reject'] === 'reset' && (protocol === 'udp' || protocol === 'sctp')) {
    const key = [...at, 'reject']
    findings.problem(merged.placeOf(key), `${formatPath(key)}only TCP can be reset, this is ${protocol}`, "use 'icmp'")
  }
  if (accept === true && 'reject' in given) {
    const key = [...at, 'reject']
    const message = "excludes 'accept: true', with which nobody is turned away"
    findings.problem(merged.placeOfKey(key), `${formatPath(key)}${message}`)
  }
}

function servicesOf(
  name: string,
  data: z.output<typeof serviceSchema>,
  at: ConfigPath,
  { merged, findings }: Context,
): ServiceSpec[] {
  const ports = subtractPorts(data.port, data.except)
  if (ports.length > 0) return [serviceOf(name, data, ports)]
  findings.problem(merged.placeOf([...at, 'except']), `${formatPath([...at, 'except'])}leaves no port to guard`)
  return []
}

function serviceOf(name: string, data: z.output<typeof serviceSchema>, ports: readonly PortRange[]): ServiceSpec {
  return {
    name,
    protocol: data.protocol,
    ports,
    syn: data.syn ?? data.protocol === 'tcp',
    closing: data.accept ? 'accept' : (data.reject ?? 'drop'),
    window: data.window,
    singleUse: data['single-use'],
    failOpen: data['fail-open'],
    allow: data.allow,
    prefix4: data.prefix4,
    prefix6: data.prefix6,
    hook: data.hook,
    log: logRuleOf(name, data.log),
  }
}

const defaultLog = { level: 'info', limit: { count: 5, unit: 'minute' }, burst: 5 } as const

function logRuleOf(name: string, given: z.output<typeof serviceSchema>['log']): LogRule | null {
  if (given === false) return null
  const { level, limit, burst, prefix } = given === true ? { ...defaultLog, prefix: undefined } : given
  return { prefix: prefix ?? `pk-${name} `, level, rate: limit, burst }
}

/** The kernel looks a packet's service up by protocol and port, so that there can be only one. */
function checkOverlaps(services: readonly ServiceSpec[], { merged, findings }: Context): void {
  services.forEach((service, i) => {
    for (const earlier of services.slice(0, i)) {
      const shared = sharedPort(service, earlier)
      if (shared === undefined) continue
      const first = formatPosition(merged.placeOf(['services', earlier.name, 'port']))
      findings.problem(
        merged.placeOf(['services', service.name, 'port']),
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
