/** The credentials of the configuration, each kind in its own way. */
import type * as z from 'zod'
import { isAscending } from '../../knock/sequence.js'
import { parseKey, PkdFormatError } from '../../knock/pkd.js'
import type { Rotation } from '../../knock/rotating.js'
import type { Context } from './context.js'
import { namedEntries } from './context.js'
import { credentialSchema } from './credential-schema.js'
import { formatPath, reportIssues } from './issues.js'
import { readSecret } from './secrets.js'
import type { SecretFile } from './secrets.js'
import type { ConfigPath } from './sources.js'
import { isMapping } from './sources.js'
import type { Credential, PkdCredential, RotatingCredential, SequenceCredential } from './types.js'
import { oneLine } from './values.js'

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
    checkOpens(data.opens, at, context)
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
  const common = { name, opens: data.opens, window: data.window ?? null, enabled: data.enabled }
  switch (data.type) {
    case 'pkd':
      return pkdCredential(common, data, secrets, at, context)
    case 'sequence':
      return sequenceCredential(common, data, at, context)
    case 'rotating':
      return rotatingCredential(common, data, secrets)
  }
}

type Common = Pick<PkdCredential, 'name' | 'opens' | 'window' | 'enabled'>

function pkdCredential(
  common: Common,
  { tag, port, skew, rate, ...data }: DataOf<'pkd'>,
  { key: file }: Secrets,
  at: ConfigPath,
  context: Context,
): PkdCredential | undefined {
  const key = data.key ?? (file && keyIn(file, [...at, 'key-file'], context))
  if (key === undefined) return undefined
  const keyFrom = file ? { kind: 'file' as const, path: file.path } : { kind: 'inline' as const }
  return { ...common, type: 'pkd', tag, key, keyFrom, port, skew, rate }
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
  { sequence: steps, timeout }: DataOf<'sequence'>,
  at: ConfigPath,
  { merged, findings }: Context,
): SequenceCredential {
  if (isAscending(steps)) {
    const place = [...at, 'sequence']
    const why = 'each port is higher than the one before, as a port scan takes them; mix them'
    findings.warn(merged.placeOf(place), `${formatPath(place)}${why}`)
  }
  return { ...common, type: 'sequence', steps, timeout }
}

function rotatingCredential(
  common: Common,
  { digest, range, hour, grace, timeout, ...data }: DataOf<'rotating'>,
  secrets: Secrets,
): RotatingCredential | undefined {
  const rotation = (secret: string | undefined): Rotation | null =>
    secret === undefined ? null : { secret, digest, first: range.first, last: range.last }
  const open = rotation(data['open-secret'] ?? secrets.open?.line)
  const close = rotation(data['close-secret'] ?? secrets.close?.line)
  return open ? { ...common, type: 'rotating', open, close, hour, grace, timeout } : undefined
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
