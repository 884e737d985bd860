/** What the options of a credential say to each other, and what credentials say to each other and to services. */
import type { ServiceSpec } from '../../nft/index.js'
import { nearest, oneLine } from '../../util/index.js'
import type { ConfigPath } from '../config-path.js'
import { formatPath, isMapping } from '../config-path.js'
import type { Context } from '../context.js'
import { placeholders } from '../trigger-schema.js'
import { triggerOptions } from './common.js'
import type { Credential, CredentialData } from './credential-schemas.js'
import { credentialKindOf } from './credential-schemas.js'
import { knockFormats } from './credential-types.js'
import type { SequenceCredential } from './any-credential.js'

// Which of two would have been knocked for could not be told, and what one has honoured the other would honour again.
export function checkTwins(credentials: readonly Credential[], { merged, findings }: Context): void {
  const seen = new Map<string, string>()
  for (const credential of credentials) {
    const { name, type } = credential
    // Keys of OpenSSH can stand in several files; a knock counts once all the same.
    if (knockFormats.of(type).length === 0) continue
    const identity = knockFormats.secretOf(credential).identity.toString('hex')
    const twin = seen.get(identity)
    if (twin === undefined) seen.set(identity, name)
    else {
      const what = credentialKindOf(type)?.identifiedBy ?? 'secret'
      findings.problem(
        merged.positionOf(['credentials', name]),
        `credentials.${name}: has the ${what} of credentials.${twin}`,
      )
    }
  }
}

/** Nothing in a packet of these formats tells whose it is, so each one is checked against the keys of all. */
const mostOfOneShape = 100

/** Those who forge packets decide how many there are: what one of them costs must not grow without end. */
export function checkCrowds(credentials: readonly Credential[], { merged, findings }: Context): void {
  const crowds = new Map<string, number>()
  for (const { name, type, enabled } of credentials) {
    if (!enabled || !knockFormats.of(type).some(({ varied }) => varied)) continue
    const number = (crowds.get(type) ?? 0) + 1
    crowds.set(type, number)
    if (number !== mostOfOneShape + 1) continue
    findings.problem(
      merged.positionOf(['credentials', name]),
      `credentials.${name}: more than ${mostOfOneShape} credentials of the type ${type}, and each packet of this type is checked against all of them`,
      "disable those that are not used; the types 'ssh' and 'symmetric' have room for any number",
    )
  }
}

export function checkServiceNames(names: readonly string[], at: ConfigPath, { merged, findings }: Context): void {
  const { services } = merged.value
  names.forEach((service, i) => {
    const place = merged.positionOf([...at, i])
    if (names.indexOf(service) < i) {
      findings.problem(place, `${formatPath([...at, i])}'${service}' is listed twice`)
    } else if (!isMapping(services) || !Object.hasOwn(services, service)) {
      const unknown = `service '${service}' is not in the configuration; it must have been made with pkctl init`
      findings.warn(place, `${formatPath(at)}${unknown}`)
    }
  })
}

/** A port that would be closed to everyone. */
export function warnOfUnopened(
  services: readonly ServiceSpec[],
  credentials: readonly Credential[],
  { merged, findings }: Context,
): void {
  for (const { name, closing, allow } of services) {
    const openers = credentials.filter(({ opens }) => opens.includes(name))
    if (closing === 'accept' || allow.length > 0 || openers.some(({ enabled }) => enabled)) continue
    const why = openers.length > 0 ? 'no enabled credential opens it' : 'no credential opens it'
    const only = `only 'pkctl add ADDRESS --service ${name}' gives a source access`
    findings.warn(
      merged.positionOfKey(['services', name]),
      `services.${name}: ${why}, and its allowlist is empty; ${only}`,
    )
  }
}

/** Of sequences that one and the same knock completes, one counts. */
export function warnOfTails(credentials: readonly Credential[], { merged, findings }: Context): void {
  const sequences = credentials.flatMap(one => (one.type === 'sequence' && one.enabled ? [one] : []))
  const textOf = ({ steps, flags, targets }: SequenceCredential, from = 0) =>
    JSON.stringify([steps.slice(from), flags, [...targets].sort()])
  const wholes = new Map<string, string>()
  const warn = (name: string, other: string) => {
    const at = ['credentials', name, 'sequence']
    const why = `a client that knocks it also completes the sequence of ${other}, and only one of them counts`
    findings.warn(merged.positionOf(at), `${formatPath(at)}${why}`)
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

/** What a trigger's options say to each other, and to what the credential opens. */
export function checkTriggers(data: CredentialData, at: ConfigPath, { merged, findings }: Context): void {
  const given = Object.values(triggerOptions).filter(option => data[option])
  const [opens, closes] = [data.opens ?? [], data.closes ?? []]
  if (opens.length + closes.length + given.length === 0) {
    const message = 'opens nothing and runs nothing'
    findings.problem(
      merged.positionOf(at),
      `${formatPath(at)}${message}`,
      "'opens' names services, 'on-open' a command",
    )
  }
  if (closes.length > 0) {
    for (const option of ['opens', 'window', 'on-open', 'on-expiry', 'obo', 'close-secret', 'close-secret-file']) {
      if (!isGiven(data, option)) continue
      const place = [...at, option]
      findings.problem(merged.positionOf(place), `${formatPath(place)}has no meaning beside 'closes'`)
    }
  }
  for (const option of given) {
    const place = [...at, option]
    const trigger = data[option] as NonNullable<CredentialData['on-open']>
    const about = (message: string) => `${formatPath(place)}${message}`
    for (const [one, other] of [
      ['command', 'shell'],
      ['command6', 'shell6'],
    ] as const) {
      if (trigger[one] !== undefined && trigger[other] !== undefined)
        findings.problem(merged.positionOf([...place, other]), about(`'${one}' and '${other}' are both given`))
    }
    const { command, command6, shell, shell6 } = trigger
    if ((command ?? command6 ?? shell ?? shell6) === undefined)
      findings.problem(merged.positionOf(place), about("'command' or 'shell' is missing"))
    for (const text of [...(command ?? []), ...(command6 ?? []), shell ?? '', shell6 ?? '']) {
      for (const [whole, name = ''] of text.matchAll(/\{(\w+)\}/g)) {
        const meant = (placeholders as readonly string[]).includes(name) ? undefined : nearest(name, placeholders)
        if (meant)
          findings.warn(merged.positionOf(place), about(`${oneLine(whole)} is not replaced; is it {${meant}}?`))
      }
    }
  }
}

function isGiven(data: CredentialData, option: string): boolean {
  const value = (data as Readonly<Record<string, unknown>>)[option]
  return value !== undefined && value !== false && (!Array.isArray(value) || value.length > 0)
}
