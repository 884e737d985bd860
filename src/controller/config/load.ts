/** Reads /etc/pkctl/pkctl.yaml and conf.d beside it: all problems at once, or a configuration with every default. */
import * as path from 'node:path'
import type * as z from 'zod'
import { maxKeyLength, parseKey, PkdFormatError } from '../../knock/pkd.js'
import type { PkdKey } from '../../knock/pkd.js'
import type { LogRule, PortRange, ServiceSpec } from '../../nft/service.js'
import { ConfigError, Findings, formatPlace } from './errors.js'
import type { Place } from './errors.js'
import { formatPath, reportIssues } from './issues.js'
import { credentialSchema, mappingSections, serviceSchema, settingsSchema } from './schema.js'
import { decodeText, isMapping, mergeSources, nodeReader, readSources, reasonOf } from './sources.js'
import type { ConfigPath, ConfigReader, Merged } from './sources.js'
import type { Config, LoadedConfig, PkdCredential } from './types.js'
import { namePattern, nameRule, oneLine, quote, shown } from './values.js'

export type { ConfigReader } from './sources.js'

/** What the checks have in common. */
interface Context {
  readonly merged: Merged
  readonly findings: Findings
  readonly reader: ConfigReader
  readonly allowReadableKeys: boolean
}

/** The configuration that `file` and its conf.d give. Throws a ConfigError with everything that is wrong, else nothing. */
export function loadConfig(file: string, reader: ConfigReader = nodeReader): LoadedConfig {
  const findings = new Findings()
  const sources = readSources(file, reader, findings)
  const merged = mergeSources(file, sources, mappingSections, findings)
  const allowReadableKeys = merged.value['allow-readable-keys'] === true
  const context: Context = { merged, findings, reader, allowReadableKeys }
  const settings = loadSettings(context)
  const services = loadServices(context)
  const credentials = loadCredentials(context)
  checkTwins(credentials, context)
  warnOfReadableConfig(context)

  if (findings.problems.length > 0 || settings === undefined) {
    throw new ConfigError([...findings.problems].sort(byPlace(file)))
  }
  return { config: { file: path.resolve(file), ...settings, services, credentials }, warnings: findings.warnings }
}

/** The main file first, conf.d by name, as they are read. */
const byPlace = (main: string) => (a: Place, b: Place) => {
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
    },
    stateDirectory: data['state-directory'],
    socket: data.socket,
    log: data.log,
  }
}

/** The entries of a section whose keys are names, without those whose name cannot be one. */
function namedEntries(section: 'services' | 'credentials', { merged, findings }: Context): [string, unknown][] {
  const entries = merged.value[section] ?? {}
  if (!isMapping(entries)) {
    findings.problem(merged.placeOf([section]), `${section}: expected a mapping of names, got ${shown(entries)}`)
    return []
  }
  return Object.entries(entries).filter(([name]) => {
    const isName = namePattern.test(name)
    if (!isName) {
      findings.problem(merged.placeOfKey([section, name]), `${section}: ${quote(name)} is not a name`, nameRule)
    }
    return isName
  })
}

// Services

function loadServices(context: Context): ServiceSpec[] {
  const { merged, findings } = context
  const services = namedEntries('services', context).flatMap(([name, given]) => {
    const at = ['services', name]
    if (isMapping(given)) checkServiceOptions(given, at, context)
    const { success, data, error } = serviceSchema.safeParse(given)
    if (success) return serviceOf(name, data)
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

function serviceOf(name: string, data: z.output<typeof serviceSchema>): ServiceSpec {
  return {
    name,
    protocol: data.protocol,
    ports: data.port,
    syn: data.syn ?? data.protocol === 'tcp',
    closing: data.accept ? 'accept' : (data.reject ?? 'drop'),
    window: data.window,
    singleUse: data['single-use'],
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
      const first = formatPlace(merged.placeOf(['services', earlier.name, 'port']))
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
    if (other) return `${protocol} port ${formatRange(one, other)}`
  }
  return undefined
}

function formatRange(a: PortRange, b: PortRange): string {
  const [first, last] = [Math.max(a.first, b.first), Math.min(a.last, b.last)]
  return first === last ? String(first) : `${first}-${last}`
}

// Credentials

function loadCredentials(context: Context): PkdCredential[] {
  const { merged, findings } = context
  return namedEntries('credentials', context).flatMap(([name, given]) => {
    const at = ['credentials', name]
    // Also of a credential with other problems, so that all are told at once.
    const file = isMapping(given) && given['type'] === 'pkd' ? checkKey(given, at, context) : undefined
    const { success, data, error } = credentialSchema.safeParse(given)
    if (!success) {
      reportIssues(error.issues, at, merged, findings)
      return []
    }
    checkOpens(data.opens, at, context)
    const key = data.key ?? file?.key
    if (key === undefined) return []
    return {
      name,
      type: data.type,
      tag: data.tag,
      key,
      keyFrom: file ? { kind: 'file', path: file.path } : { kind: 'inline' },
      port: data.port,
      opens: data.opens,
      window: data.window ?? null,
      skew: data.skew,
      rate: data.rate,
      enabled: data.enabled,
    }
  })
}

// Which of two would have been knocked for could not be told, and what one has honoured the other would honour again.
function checkTwins(credentials: readonly PkdCredential[], { merged, findings }: Context): void {
  const seen = new Map<string, string>()
  for (const { name, tag, key } of credentials) {
    const secret = `${tag.toString('hex')} ${key.toString('hex')}`
    const twin = seen.get(secret)
    if (twin === undefined) seen.set(secret, name)
    else
      findings.problem(
        merged.placeOf(['credentials', name]),
        `credentials.${name}: has the tag and key of credentials.${twin}`,
      )
  }
}

function checkOpens(opens: readonly string[], at: ConfigPath, { merged, findings }: Context): void {
  const { services } = merged.value
  opens.forEach((service, i) => {
    const place = merged.placeOf([...at, 'opens', i])
    if (opens.indexOf(service) < i) {
      findings.problem(place, `${formatPath([...at, 'opens', i])}'${service}' is listed twice`)
    } else if (!isMapping(services) || !Object.hasOwn(services, service)) {
      const unknown = `service '${service}' is not in the configuration; it must have been made with pkctl init`
      findings.warn(place, `${formatPath([...at, 'opens'])}${unknown}`)
    }
  })
}

interface KeyFile {
  readonly path: string
  readonly key: PkdKey
}

/** That there is one key; and its file's content when it is in one. */
function checkKey(given: Record<string, unknown>, at: ConfigPath, context: Context): KeyFile | undefined {
  const { merged, findings } = context
  const hasKey = 'key' in given
  const hasFile = 'key-file' in given
  if (hasKey && hasFile) {
    const place = [...at, 'key-file']
    findings.problem(merged.placeOfKey(place), `${formatPath(at)}'key' and 'key-file' are both given; one is needed`)
  } else if (!hasKey && !hasFile) {
    findings.problem(merged.placeOf(at), `${formatPath(at)}'key' or 'key-file' is missing`)
  }
  const file = given['key-file']
  if (typeof file !== 'string' || file === '') return undefined
  return readKeyFile(path.resolve(path.dirname(merged.fileOf(at)), file), [...at, 'key-file'], context)
}

// Room for a hex key, comments below it, and whatever a person may have added.
const maxKeyFileSize = 65_536
const groupOrOthersUse = 0o066
const othersRead = 0o004

function readKeyFile(file: string, at: ConfigPath, context: Context): KeyFile | undefined {
  const { merged, findings, reader, allowReadableKeys } = context
  const place = merged.placeOf(at)
  const about = `${formatPath(at)}${oneLine(file)}`
  const refuse = (message: string, hint?: string): undefined => {
    findings.problem(place, `${about} ${message}`, hint)
    return undefined
  }
  let bytes: Buffer
  try {
    const { mode, size, ...stat } = statOf(file, reader)
    // A pipe or a device would be waited for, or never end.
    if (!stat.isFile) {
      refuse('is not a regular file')
      return
    }
    if (size > maxKeyFileSize) {
      refuse(`is too large for a key, which has at most ${maxKeyLength} bytes`)
      return
    }
    if ((mode & groupOrOthersUse) !== 0) {
      const verb = (mode & 0o044) !== 0 ? 'read' : 'written'
      const message = `can be ${verb} by group or others (mode ${(mode & 0o7777).toString(8).padStart(4, '0')})`
      if (allowReadableKeys) findings.warn(place, `${about} ${message}; chmod 600 ${oneLine(file)}`)
      else refuse(message, `chmod 600 ${oneLine(file)}, or set 'allow-readable-keys: true'`)
    }
    bytes = reader.readFile(file)
  } catch (cause) {
    refuse(`cannot be read: ${reasonOf(cause)}`)
    return
  }
  const text = decodeText(bytes)
  if (text === undefined) {
    refuse('is not UTF-8 text', 'write the key as hex after 0x')
    return
  }
  const line = text.split(/\r?\n/, 1)[0] ?? ''
  if (line === '') {
    refuse(text === '' ? 'is empty' : 'has an empty first line, where the key should be')
    return
  }
  if (line.trim() !== line) findings.warn(place, `${about} has a key that starts or ends with white space`)
  try {
    return { path: file, key: parseKey(line) }
  } catch (cause) {
    if (!(cause instanceof PkdFormatError)) throw cause
    refuse(`holds no usable key: ${cause.message}`)
    return
  }
}

function statOf(file: string, reader: ConfigReader) {
  const stat = reader.stat(file)
  return { mode: stat.mode, size: stat.size, isFile: stat.isFile() }
}

/** Of files of the configuration that everyone can read although keys stand in them. */
function warnOfReadableConfig({ merged, findings, reader }: Context): void {
  const credentials = merged.value['credentials']
  const first = new Map<string, Place>()
  for (const [name, credential] of isMapping(credentials) ? Object.entries(credentials) : []) {
    const at = ['credentials', name, 'key']
    if (!isMapping(credential) || !('key' in credential) || first.has(merged.fileOf(at))) continue
    first.set(merged.fileOf(at), merged.placeOfKey(at))
  }
  for (const [file, place] of first) {
    try {
      if ((statOf(file, reader).mode & othersRead) === 0) continue
    } catch {
      continue // It has just been read; whatever became of it, its mode no longer matters.
    }
    findings.warn(place, `everyone can read the key in this file; chmod 640 ${oneLine(file)}`)
  }
}
