/** Secrets that can be guessed, and credentials that let in more than may be meant. */
import type { PacketKnockCredential } from '../../config/credentials/types.js'
import type { Command, Credential, OneTimeCredential, PkdCredential, RotatingCredential } from '../../config/types.js'
import { fewLeft } from '../../knock/one-time.js'
import { defaultTag, formatTag, tagLength } from '../../knock/pkd.js'
import type { Rotation } from '../../knock/rotating.js'
import type { Step } from '../../knock/sequence.js'
import { formatStep, isAscending } from '../../knock/sequence.js'
import type { Facts } from '../facts.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'
import { listed } from './descriptions.js'

export function checkCredentials({ configuration: { config, oneTime } }: Facts): Finding[] {
  const credentials = (config?.credentials ?? []).filter(({ enabled }) => enabled)
  return [
    ...credentials.flatMap(credential => [
      ...ofKind(credential, oneTime.get(credential.name)),
      ...shellTriggers(credential),
      ...(credential.window === Infinity ? [unlimited(credential)] : []),
    ]),
    ...sharedTags(credentials.filter(credential => credential.type === 'pkd')),
  ]
}

function ofKind(credential: Credential, lines: readonly (readonly Step[])[] | undefined): Finding[] {
  switch (credential.type) {
    case 'sequence':
      return judgeSequence(credential.name, credential.steps)
    case 'one-time':
      return lines ? judgeOneTime(credential, lines) : []
    case 'rotating':
      return judgeRotating(credential)
    default:
      return [...('key' in credential ? judgeKey(credential) : []), ...judgePacket(credential)]
  }
}

// ---- single packets

const enoughBytes = 16
const fewBytes = 8
/** 16 random bytes have 15 different ones, and 16 hex digits about 10. */
const enoughDifferent = 8

function judgeKey({ name, key }: PkdCredential): Finding[] {
  const subject = { credential: name }
  const bytes = withoutPadding(key)
  const newKey = 'pkctl keygen makes one; give it to whoever knocks'
  if (bytes.length < enoughBytes) {
    const level = bytes.length < fewBytes ? 'error' : 'warning'
    const message = `the key of ${name} has ${count(bytes.length, 'byte')}: whoever sees one knock can try out all keys`
    return [finding('weak-key', message, newKey, { ...subject, level })]
  }
  if (!isPlain(bytes)) return []
  return [finding('weak-key', `the key of ${name} is long, and yet easy to guess`, newKey, subject)]
}

/** What any credential has that is knocked by one packet. */
function judgePacket({ name, skew, rate, onBehalfOf }: PacketKnockCredential): Finding[] {
  const subject = { credential: name }
  const findings: Finding[] = []
  if (skew === -1) {
    findings.push(
      finding(
        'any-clock',
        `${name} takes knocks of any time: one that was caught on its way and never arrived opens whenever it is sent`,
        "'skew: 10', or more where clocks are bad",
        subject,
      ),
    )
  }
  if (rate === null) {
    findings.push(finding('no-rate', `${name} may knock as often as it likes`, "'rate: 5/10s' is the default", subject))
  }
  const everywhere = onBehalfOf.filter(prefix => prefix.endsWith('/0'))
  if (everywhere.length > 0) {
    findings.push(
      finding(
        'obo-everywhere',
        `${name} may let in any address at all on behalf (${listed(everywhere)})`,
        "name the networks for which it is meant in 'obo-prefixes'",
        subject,
      ),
    )
  }
  return findings
}

function withoutPadding(key: Buffer): Buffer {
  let end = key.length
  while (end > 0 && key[end - 1] === 0) end--
  return key.subarray(0, end)
}

/** Few different bytes, a short word again and again, or one byte after the other as in 1234…. */
function isPlain(bytes: Buffer): boolean {
  if (new Set(bytes).size < enoughDifferent) return true
  const steps = [...bytes].slice(1).map((byte, i) => byte - (bytes[i] as number))
  if (new Set(steps).size <= 2) return true
  return [8, 9, 10, 11, 12, 13, 14, 15].some(
    period => bytes.every((byte, i) => i < period || byte === bytes[i - period]) && bytes.length > period * 1.5,
  )
}

const count = (number: number, what: string) => `${number} ${what}${number === 1 ? '' : 's'}`
const manyWithOneTag = 4

function sharedTags(credentials: readonly PkdCredential[]): Finding[] {
  const byTag = new Map<string, string[]>()
  for (const { tag, name } of credentials) byTag.set(formatTag(tag), [...(byTag.get(formatTag(tag)) ?? []), name])
  return [...byTag]
    .filter(([, names]) => names.length > manyWithOneTag)
    .map(([tag, names]) =>
      finding(
        'shared-tag',
        `${names.length} credentials have the tag ${tag}${tag === defaultTag ? ', the default' : ''}: each knock is tried with the key of each`,
        `give them tags of their own, of up to ${tagLength} bytes`,
      ),
    )
}

// ---- sequences

const enoughSteps = 3

function judgeSequence(name: string, steps: readonly Step[], line = ''): Finding[] {
  const subject = { credential: name }
  const text = `the sequence of ${name}${line}`
  return [
    ...(isAscending(steps)
      ? [
          finding(
            'ascending-sequence',
            `${text} goes up from port to port, as a port scan does`,
            'mix its ports',
            subject,
          ),
        ]
      : []),
    ...(new Set(steps.map(formatStep)).size < enoughSteps
      ? [
          finding(
            'short-sequence',
            `${text} has ${count(new Set(steps.map(formatStep)).size, 'different knock')}: it can be hit by chance`,
            'take at least four, or a PKD knock, which nobody can watch and repeat',
            subject,
          ),
        ]
      : []),
  ]
}

function judgeOneTime({ name, file }: OneTimeCredential, lines: readonly (readonly Step[])[]): Finding[] {
  const subject = { credential: name, path: file }
  // The first few lines stand for all: nobody reads a hundred findings.
  const weak = lines
    .flatMap((steps, i) => judgeSequence(name, steps, `, ${i + 1}. of those left in ${file},`))
    .slice(0, 2)
  if (lines.length >= fewLeft) return weak
  const left = lines.length === 0 ? 'no sequence' : count(lines.length, 'sequence')
  const level = lines.length === 0 ? 'error' : 'warning'
  const effect = lines.length === 0 ? ': nobody can knock with it' : ''
  const low = finding(
    'few-sequences',
    `${file} has ${left} left for ${name}${effect}`,
    'add lines to it, each beginning with a space, then pkctl reload',
    { ...subject, level },
  )
  return [low, ...weak]
}

// ---- rotating

const enoughBits = 64
const longGraceSeconds = 300
const steps = { md5: 8, sha256: 16, sha384: 24, sha512: 32 } as const

function judgeRotating({ name, open, close, grace }: RotatingCredential): Finding[] {
  const subject = { credential: name }
  const findings = [open, ...(close ? [close] : [])].flatMap((rotation, i) =>
    weakSecret(name, rotation, i === 0 ? 'opening' : 'closing'),
  )
  if (open.digest === 'md5') {
    const message = `${name} makes its sequences by md5, of 8 ports`
    findings.push(finding('md5-digest', message, "'digest: sha256', there and where it is knocked", subject))
  }
  const bits = Math.log2(open.last - open.first) * steps[open.digest]
  if (bits < enoughBits) {
    findings.push(
      finding(
        'small-range',
        `the sequences of ${name} are taken from ${count(open.last - open.first, 'port')}, so few that they can be tried out`,
        "'range: 1-65535', there and where it is knocked",
        subject,
      ),
    )
  }
  if (grace > longGraceSeconds) {
    const message = `${name} takes the sequence of another hour for ${grace} s around each turn: that long, one that was watched can be repeated`
    findings.push(finding('long-grace', message, "synchronise clocks, and make 'grace' smaller", subject))
  }
  return findings
}

function weakSecret(name: string, { secret }: Rotation, which: string): Finding[] {
  const bytes = Buffer.from(secret)
  if (bytes.length >= enoughBytes && !isPlain(bytes)) return []
  const why = bytes.length < enoughBytes ? `has ${count(bytes.length, 'byte')}` : 'is long, and yet easy to guess'
  const level = bytes.length < fewBytes ? 'error' : 'warning'
  const message = `the secret of the ${which} sequence of ${name} ${why}: whoever sees one knock can try out all`
  return [
    finding('weak-secret', message, 'pkctl keygen makes one; give it to whoever knocks', { credential: name, level }),
  ]
}

// ---- what every kind has

function shellTriggers({ name, triggers }: Credential): Finding[] {
  const isShell = (command: Command | null | undefined) =>
    command !== null && command !== undefined && 'shell' in command
  const events = (['open', 'close', 'expiry'] as const).filter(
    event => isShell(triggers[event]?.command) || isShell(triggers[event]?.command6),
  )
  if (events.length === 0) return []
  const message = `${name} runs ${listed(events.map(event => `on-${event}`))} by a shell, which reads more into its line than may be meant`
  return [
    finding('shell-trigger', message, "a program and its arguments as 'command' do without", { credential: name }),
  ]
}

function unlimited({ name }: Credential): Finding {
  const message = `who knocks with ${name} stays let in until somebody takes it back, whoever has the address later`
  return finding('unlimited-window', message, "'window: 8h', or as long as is needed", { credential: name })
}
