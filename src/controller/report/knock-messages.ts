/** The log message for each decision. The client never gets an answer. */
import type { Refusal } from '../verify/decision.js'
import { refusedUnverified } from '../verify/decision.js'
import type { Confirmation } from '../grants/grant-confirmation.js'
import type { KnockEvent } from './knock-events.js'
import { quote } from '../../util/index.js'
import type { LogFields, LogLevel } from './log-interface.js'
import type { GrantOutcome } from '../grants/grant-outcome.js'
import type { KnockSigner } from '../verify/signature-job.js'

interface LogMessage {
  readonly level: LogLevel
  readonly message: string
  readonly fields: LogFields
}

/** What the kernel grants for a credential, as far as its services exist. */
export type Granted = readonly {
  readonly service: { readonly name: string; readonly prefix4?: number; readonly prefix6?: number }
  readonly seconds: number
}[]

/** What became of what a knock was given: by the mark of its answer, or by a command. */
export type KnockOutcome = Confirmation | GrantOutcome

/**
 * Knocks that need no key are logged at debug, those that need a valid key at info, and those that did not get what they were
 * given as errors. `outcome` is that of the grants of the source, or of another address in its place, and `alsoOutcome` that of
 * the address that gets them as well.
 */
export function knockMessage(
  event: KnockEvent,
  granted: Granted,
  outcome: KnockOutcome = made,
  alsoOutcome: KnockOutcome = made,
): LogMessage {
  const { kind, reason, credential, source, onBehalfOf, also, port, clockDifferenceSeconds, signer, prefix } = event
  const fields = {
    event: eventNames[kind],
    source,
    port,
    ...(onBehalfOf === undefined ? {} : { 'on-behalf-of': onBehalfOf }),
    ...(also === undefined ? {} : { also }),
    ...(prefix === undefined ? {} : { prefix }),
    ...(reason ? { reason } : {}),
    ...(credential ? { credential } : {}),
    ...(signer ? signerFields(signer) : {}),
    ...(clockDifferenceSeconds === undefined ? {} : { skew: clockDifferenceSeconds }),
    ...(kind !== 'refuse' ? { services: granted.map(({ service }) => service.name) } : {}),
  }
  const by = signer ? ` by ${signerText(signer, credential)}` : credential ? ` by ${credential}` : ''
  const clock = clockDifferenceSeconds === undefined ? '' : ` (its clock: ${signed(clockDifferenceSeconds)} s)`
  if (kind === 'refuse') {
    const level = reason && refusedUnverified.has(reason) ? 'debug' : 'info'
    const why = because(reason, clockDifferenceSeconds)
    return { level, message: `knock${by} from ${source} refused: ${why}${clock}`, fields }
  }
  const whom = onBehalfOf === undefined ? '' : ` on behalf of ${onBehalfOf}`
  const knock = `knock${by} from ${source}${whom}`
  const failed = [
    failureOf(kind, outcome, ''),
    failureOf(kind, alsoOutcome, ` ${kind === 'grant' ? 'to' : 'for'} ${also}`),
  ]
  const failures = failed.filter(failure => failure !== undefined)
  if (failures.length > 0) {
    const services = [...new Set(failures.flatMap(failure => failure.services))]
    return {
      level: 'error',
      message: `${knock} is valid, but ${failures.map(({ message }) => message).join('; and ')}`,
      fields: { ...fields, event: kind === 'grant' ? 'knock-not-granted' : eventNames[kind], services },
    }
  }
  if (kind === 'grant') {
    const long = (seconds: number) => (seconds === Infinity ? 'without a time limit' : `for ${seconds} s`)
    const opens = granted.map(({ service, seconds }) => `${service.name} ${long(seconds)}`).join(', ')
    const verb = [outcome, alsoOutcome].every(({ kind }) => kind === 'made') ? 'opens' : 'is accepted for'
    const what = opens === '' ? 'is valid, and opens nothing' : `${verb} ${opens}`
    const more = also === undefined ? '' : `, also to ${also}`
    const cut = prefix === undefined ? '' : prefixText(prefix, granted, onBehalfOf ?? source)
    return { level: 'info', message: `${knock} ${what}${more}${cut}${clock}`, fields }
  }
  const closes = granted.map(({ service }) => service.name).join(', ')
  return { level: 'info', message: `${knock} closes ${closes}${clock}`, fields }
}

/** What became of the prefix that it asks for: each service grants what it grants of every source. */
function prefixText(asked: number, granted: Granted, whom: string): string {
  const isOther = granted.flatMap(({ service: { name, prefix4, prefix6 } }) => {
    const bits = whom.includes(':') ? prefix6 : prefix4
    return bits === undefined || bits === asked ? [] : [`${bits} of ${name}`]
  })
  return isOther.length === 0 ? '' : `; it asks for a prefix of ${asked} bits, and gets ${isOther.join(', ')}`
}

const made: KnockOutcome = { kind: 'made' }

interface Failure {
  readonly services: readonly string[]
  readonly message: string
}

/** What was not done, as the end of a sentence; undefined where nothing failed. */
function failureOf(kind: 'grant' | 'revoke', outcome: KnockOutcome, forWhom: string): Failure | undefined {
  if (outcome.kind === 'failed') {
    const { services, reason } = outcome
    const verb = kind === 'grant' ? 'opened' : 'closed'
    return { services, message: `pkctld has not ${verb} ${services.join(', ')}${forWhom}: ${reason}` }
  }
  if (outcome.kind !== 'missing') return undefined
  const { services } = outcome
  const names = services.join(', ')
  const open = outcome.runsFor === Infinity ? 'without a time limit' : `for ${Math.floor(outcome.runsFor ?? 0)} s`
  const message =
    outcome.runsFor === undefined
      ? `the kernel has not opened ${names}: its set is full, or rules of another program change the mark of the answer; pkctl doctor may find them`
      : `the kernel has not extended the grant for ${names}, which runs ${open}: rules of another program may change the mark of the answer; pkctl doctor may find them`
  return { services, message }
}

const signerFields = ({ user, fingerprint, keyId, serial }: KnockSigner): LogFields => ({
  ...(user === undefined ? {} : { user }),
  key: fingerprint,
  ...(keyId === undefined ? {} : { 'key-id': keyId }),
  ...(serial === undefined ? {} : { serial }),
})

/** `alice (SHA256:…, staff)` */
function signerText({ user, fingerprint, keyId, serial }: KnockSigner, credential: string | undefined): string {
  const certificate = keyId === undefined ? [] : [`certificate ${quote(keyId)} number ${serial}`]
  const more = [...(user === undefined ? [] : [fingerprint]), ...certificate, ...(credential ? [credential] : [])]
  return `${user ?? fingerprint}${more.length > 0 ? ` (${more.join(', ')})` : ''}`
}

const eventNames = { grant: 'knock-accepted', revoke: 'knock-closed', refuse: 'knock-refused' } as const

const signed = (seconds: number) => (seconds > 0 ? `+${seconds}` : String(seconds))

function because(reason: Refusal | undefined, clockDifferenceSeconds = 0): string {
  switch (reason) {
    case 'malformed':
      return 'malformed'
    case 'unknown-tag':
      return 'unknown tag'
    case 'wrong-port':
      return 'sent to the wrong port'
    case 'bad-hash':
      return 'bad hash: wrong key, or not meant for this port'
    case 'skewed':
      return `skewed: the clocks differ by ${Math.abs(clockDifferenceSeconds)} s`
    case 'replayed':
      return 'replayed'
    case 'stale':
      return 'stale: so old that pkctld can no longer tell whether it is a replay'
    case 'rate-limited':
      return 'rate-limited'
    case 'address-not-allowed':
      return 'asks for an address that it may not ask for'
    case 'link-local':
      return 'its address is link-local, so its credential and services must name exactly one interface'
    case 'bad-message':
      return 'what it asks for cannot be read'
    case 'command-refused':
      return 'asks to run a command, which a knock cannot do'
    case 'nat-refused':
      return 'asks for address translation, which pkctl does not support'
    case 'wrong-user':
      return 'names another user than the one that its credential is for'
    case 'source-not-named':
      return "names no address of its sender, and 'require-source-address' is set"
    case 'port-not-allowed':
      return 'asks for a port of no service that its credential opens'
    case 'prefix-not-allowed':
      return 'asks for a prefix that its key does not allow'
    case 'not-opened':
      return 'it could not be decrypted: changed on its way, or not made for this server and port'
    case 'unknown-key':
      return 'unknown key'
    case 'bad-certificate':
      return 'its certificate cannot be read'
    case 'revoked':
      return 'its key or certificate is revoked'
    case 'revocations-unknown':
      return 'a list of revoked keys cannot be read, so that no key counts'
    case 'key-expired':
      return 'the expiry-time of its key has passed'
    case 'certificate-expired':
      return 'its certificate has expired'
    case 'certificate-not-yet-valid':
      return 'its certificate is not yet valid'
    case 'wrong-principal':
      return 'its certificate names none of the principals'
    case 'source-not-allowed':
      return 'its key or certificate is for other source addresses'
    case 'service-not-allowed':
      return 'asks for a service that its key does not open'
    case 'bad-signature':
      return 'bad signature'
    case 'signatures-busy':
      return 'too many signatures are being verified'
    case 'signatures-late':
      return 'its signature was not verified in time'
    case 'signatures-down':
      return 'signatures are not verified at the moment'
    case 'expired':
      return 'its credential has expired'
    case 'line-unmarked':
      return 'its line could not be marked as used'
    case 'out-of-time':
      return 'out of time: the sequence took longer than its timeout'
    case 'memory-full':
      return 'the replay cache of the credential is full: see replay-entries'
    case 'state-unwritable':
      return 'the state directory cannot be written'
    case 'claimed':
      return 'another server of the fleet has got it first'
    case 'fleet-away':
      return 'the engine of the fleet cannot be asked whether another server has got it first'
    case 'fleet-late':
      return 'the engine of the fleet has not said in time whether another server has got it first'
    case 'fleet-unsure':
      return 'the engine of the fleet may have forgotten that another server has got it first'
    case 'fleet-busy':
      return 'too many knocks wait for the engine of the fleet'
    case undefined:
      return 'refused'
  }
}
