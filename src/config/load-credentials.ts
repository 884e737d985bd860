/** The credentials of the configuration, each kind in its own way. */
import * as path from 'node:path'
import type * as z from 'zod'
import { PkdFormatError } from '../knock/errors.js'
import { fewLeft, readOneTime } from '../knock/one-time.js'
import { parseKey } from '../knock/pkd.js'
import type { Rotation } from '../knock/rotating.js'
import { isAscending, synRule } from '../knock/sequence.js'
import { oneLine } from '../util/text.js'
import type { Context } from './context.js'
import { namedEntries } from './context.js'
import { credentialSchema } from './credential-schema.js'
import { nearest } from './errors.js'
import { formatPath, reportIssues } from './issues.js'
import type { SecretFile } from './secrets.js'
import { readSecret } from './secrets.js'
import type { ConfigPath } from './sources.js'
import { isMapping, reasonOf } from './sources.js'
import { placeholders, triggerOf } from './trigger-schema.js'
import type {
  Credential,
  OneTimeCredential,
  PkdCredential,
  RotatingCredential,
  SequenceCredential,
  Triggers,
} from './types.js'

type Data = z.output<typeof credentialSchema>
type DataOf<T extends Data['type']> = Extract<Data, { type: T }>

interface Secrets {
  readonly key?: SecretFile | undefined
  readonly open?: SecretFile | undefined
  readonly close?: SecretFile | undefined
}

export function loadCredentials(context: Context): Credential[] {
  const { merged, findings } = context
  return namedEntries('credentials', context).flatMap(([name, given]) => {
    const at = ['credentials', name]
    // Also of a credential with other problems, so that all are told at once.
    const secrets = isMapping(given) ? readSecrets(given, at, context) : {}
    const { success, data, error } = credentialSchema.safeParse(given)
    if (!success) {
      reportIssues(error.issues, at, merged, findings)
      return []
    }
    checkServices(data.opens ?? [], [...at, 'opens'], context)
    checkServices(data.closes ?? [], [...at, 'closes'], context)
    checkTriggers(data, at, context)
    if (data.type !== 'pkd') checkFlags(data, at, context)
    const credential = credentialOf(name, data, secrets, at, context)
    return credential ? [credential] : []
  })
}

function readSecrets(given: Record<string, unknown>, at: ConfigPath, context: Context): Secrets {
  if (given['type'] === 'pkd') return { key: readSecret(given, 'key', true, at, context) }
  if (given['type'] !== 'rotating') return {}
  return {
    open: readSecret(given, 'open-secret', true, at, context),
    close: readSecret(given, 'close-secret', false, at, context),
  }
}

function credentialOf(
  name: string,
  data: Data,
  secrets: Secrets,
  at: ConfigPath,
  context: Context,
): Credential | undefined {
  const common = {
    name,
    opens: data.opens ?? [],
    closes: data.closes ?? [],
    window: data.window ?? null,
    rate: data.rate,
    triggers: triggersOf(data),
    enabled: data.enabled,
  }
  switch (data.type) {
    case 'pkd':
      return pkdCredential(common, data, secrets, at, context)
    case 'sequence':
      return sequenceCredential(common, data, at, context)
    case 'one-time':
      return oneTimeCredential(common, data, at, context)
    case 'rotating':
      return rotatingCredential(common, data, secrets)
  }
}

type Common = Pick<PkdCredential, 'name' | 'opens' | 'closes' | 'window' | 'rate' | 'triggers' | 'enabled'>

const triggerOptions = { open: 'on-open', close: 'on-close', expiry: 'on-expiry' } as const

function triggersOf(data: Data): Triggers {
  const read = (option: (typeof triggerOptions)[keyof typeof triggerOptions]) => {
    const given = data[option]
    return given ? triggerOf(given) : null
  }
  return { open: read('on-open'), close: read('on-close'), expiry: read('on-expiry') }
}

const stepsOptions = (data: Pick<DataOf<'sequence'>, 'timeout' | 'tcp-flags' | 'target'>) => ({
  timeout: data.timeout,
  flags: data['tcp-flags'],
  targets: data.target,
})

function pkdCredential(
  common: Common,
  { tag, port, skew, ...data }: DataOf<'pkd'>,
  { key: file }: Secrets,
  at: ConfigPath,
  context: Context,
): PkdCredential | undefined {
  const key = data.key ?? (file && keyIn(file, [...at, 'key-file'], context))
  if (key === undefined) return undefined
  const keyFrom = file ? { kind: 'file' as const, path: file.path } : { kind: 'inline' as const }
  checkOnBehalfOf(data, at, context)
  const onBehalfOf = data.obo ? data['obo-prefixes'] : []
  return { ...common, type: 'pkd', tag, key, keyFrom, port, skew, onBehalfOf }
}

function keyIn({ path, line }: SecretFile, at: ConfigPath, { merged, findings }: Context) {
  try {
    return parseKey(line)
  } catch (cause) {
    if (!(cause instanceof PkdFormatError)) throw cause
    findings.problem(merged.placeOf(at), `${formatPath(at)}${oneLine(path)} holds no usable key: ${cause.message}`)
    return undefined
  }
}

function sequenceCredential(
  common: Common,
  data: DataOf<'sequence'>,
  at: ConfigPath,
  { merged, findings }: Context,
): SequenceCredential {
  const steps = data.sequence
  if (isAscending(steps)) {
    const place = [...at, 'sequence']
    const why = 'each port is higher than the one before, as a port scan takes them; mix them'
    findings.warn(merged.placeOf(place), `${formatPath(place)}${why}`)
  }
  return { ...common, ...stepsOptions(data), type: 'sequence', steps }
}

function oneTimeCredential(
  common: Common,
  data: DataOf<'one-time'>,
  at: ConfigPath,
  { merged, findings, reader }: Context,
): OneTimeCredential | undefined {
  const place = [...at, 'sequences-file']
  const file = path.resolve(path.dirname(merged.fileOf(at)), data['sequences-file'])
  const about = `${formatPath(place)}${oneLine(file)}`
  try {
    const list = readOneTime(reader.readFile(file))
    if (list.unused.length === 0)
      findings.warn(merged.placeOf(place), `${about} has no sequence left: nobody can knock`)
    else if (list.unused.length < fewLeft)
      findings.warn(merged.placeOf(place), `${about} has only ${list.unused.length} sequences left`)
  } catch (cause) {
    findings.problem(merged.placeOf(place), `${about} cannot be used: ${reasonOf(cause)}`)
    return undefined
  }
  try {
    reader.canWrite(file)
  } catch (cause) {
    const why = `cannot be written (${reasonOf(cause)}): no line can be marked as used, so none opens anything`
    findings.warn(merged.placeOf(place), `${about} ${why}`)
  }
  return { ...common, ...stepsOptions(data), type: 'one-time', file }
}

function rotatingCredential(
  common: Common,
  { digest, range, hour, grace, ...data }: DataOf<'rotating'>,
  secrets: Secrets,
): RotatingCredential | undefined {
  const rotation = (secret: string | undefined): Rotation | null =>
    secret === undefined ? null : { secret, digest, first: range.first, last: range.last }
  const open = rotation(data['open-secret'] ?? secrets.open?.line)
  const close = rotation(data['close-secret'] ?? secrets.close?.line)
  return open ? { ...common, ...stepsOptions(data), type: 'rotating', open, close, hour, grace } : undefined
}

// Which of two would have been knocked for could not be told, and what one has honoured the other would honour again.
export function checkTwins(credentials: readonly Credential[], { merged, findings }: Context): void {
  const seen = new Map<string, string>()
  for (const { name, tag, key } of credentials.filter(credential => credential.type === 'pkd')) {
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

function checkServices(names: readonly string[], at: ConfigPath, { merged, findings }: Context): void {
  const { services } = merged.value
  names.forEach((service, i) => {
    const place = merged.placeOf([...at, i])
    if (names.indexOf(service) < i) {
      findings.problem(place, `${formatPath([...at, i])}'${service}' is listed twice`)
    } else if (!isMapping(services) || !Object.hasOwn(services, service)) {
      const unknown = `service '${service}' is not in the configuration; it must have been made with pkctl init`
      findings.warn(place, `${formatPath(at)}${unknown}`)
    }
  })
}

/** Of sequences that one and the same knock completes, one counts. */
export function warnOfTails(credentials: readonly Credential[], { merged, findings }: Context): void {
  const sequences = credentials.flatMap(one => (one.type === 'sequence' && one.enabled ? [one] : []))
  const textOf = ({ steps, flags, targets }: SequenceCredential, from = 0) =>
    JSON.stringify([steps.slice(from), flags, [...targets].sort()])
  const wholes = new Map<string, string>()
  const warn = (name: string, other: string) => {
    const at = ['credentials', name, 'sequence']
    const why = `whoever knocks it completes that of ${other} as well, and only one of them counts`
    findings.warn(merged.placeOf(at), `${formatPath(at)}${why}`)
  }
  for (const one of sequences) {
    const same = wholes.get(textOf(one))
    if (same === undefined) wholes.set(textOf(one), one.name)
    else warn(one.name, same)
  }
  for (const one of sequences) {
    const tail = one.steps.map((_, i) => (i === 0 ? undefined : wholes.get(textOf(one, i)))).find(Boolean)
    if (tail !== undefined) warn(one.name, tail)
  }
}

/** Flags that packets of running connections have, too. */
function checkFlags(data: Pick<DataOf<'sequence'>, 'tcp-flags'>, at: ConfigPath, { merged, findings }: Context): void {
  const { mask, value } = data['tcp-flags']
  if ((mask & value & synRule.value) !== 0) return
  const place = [...at, 'tcp-flags']
  const message =
    'packets of running connections can have these flags as well: each of them is looked at, and may count'
  findings.warn(merged.placeOf(place), `${formatPath(place)}${message}`)
}

function checkOnBehalfOf(
  data: Pick<DataOf<'pkd'>, 'obo' | 'obo-prefixes'>,
  at: ConfigPath,
  { merged, findings }: Context,
): void {
  const named = data['obo-prefixes'].length > 0
  if (data.obo && !named) {
    const hint = "name them with 'obo-prefixes'; 0.0.0.0/0 and ::/0 are all"
    findings.problem(merged.placeOf([...at, 'obo']), `${formatPath([...at, 'obo'])}no address may be asked for`, hint)
  } else if (!data.obo && named) {
    const place = [...at, 'obo-prefixes']
    findings.warn(merged.placeOf(place), `${formatPath(place)}has no meaning without 'obo: true'`)
  }
}

/** What a trigger's options say to each other, and to what the credential opens. */
function checkTriggers(data: Data, at: ConfigPath, { merged, findings }: Context): void {
  const given = Object.values(triggerOptions).filter(option => data[option])
  const [opens, closes] = [data.opens ?? [], data.closes ?? []]
  if (opens.length + closes.length + given.length === 0) {
    const message = 'opens nothing and runs nothing'
    findings.problem(merged.placeOf(at), `${formatPath(at)}${message}`, "'opens' names services, 'on-open' a command")
  }
  if (closes.length > 0) {
    for (const option of ['opens', 'window', 'on-open', 'on-expiry', 'obo', 'close-secret', 'close-secret-file']) {
      if (!isGiven(data, option)) continue
      const place = [...at, option]
      findings.problem(merged.placeOf(place), `${formatPath(place)}has no meaning beside 'closes'`)
    }
  }
  for (const option of given) {
    const place = [...at, option]
    const trigger = data[option] as NonNullable<Data['on-open']>
    const about = (message: string) => `${formatPath(place)}${message}`
    for (const [one, other] of [
      ['command', 'shell'],
      ['command6', 'shell6'],
    ] as const) {
      if (trigger[one] !== undefined && trigger[other] !== undefined)
        findings.problem(merged.placeOf([...place, other]), about(`'${one}' and '${other}' are both given`))
    }
    const { command, command6, shell, shell6 } = trigger
    if ((command ?? command6 ?? shell ?? shell6) === undefined)
      findings.problem(merged.placeOf(place), about("'command' or 'shell' is missing"))
    for (const text of [...(command ?? []), ...(command6 ?? []), shell ?? '', shell6 ?? '']) {
      for (const [whole, name = ''] of text.matchAll(/\{(\w+)\}/g)) {
        const meant = (placeholders as readonly string[]).includes(name) ? undefined : nearest(name, placeholders)
        if (meant) findings.warn(merged.placeOf(place), about(`${oneLine(whole)} is not replaced; is it {${meant}}?`))
      }
    }
  }
}

function isGiven(data: Data, option: string): boolean {
  const value = (data as Readonly<Record<string, unknown>>)[option]
  return value !== undefined && value !== false && (!Array.isArray(value) || value.length > 0)
}
