/** Credentials whose sequences a secret and the hour give. */
import { enoughBytes, fewBytes, whyPlain } from '../../config/index.js'
import type { RotatingCredential } from '../../config/types.js'
import type { RotatingSequence } from '../../knock/index.js'
import { count } from '../../util/index.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'

const enoughBits = 64
const longGraceSeconds = 300
const steps = { md5: 8, sha256: 16, sha384: 24, sha512: 32 } as const

export function checkRotating({ name, open, close, grace }: RotatingCredential): Finding[] {
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
    const message = `${name} takes the sequence of another hour for ${grace} s around each turn: for that time, an observer can repeat a sequence`
    findings.push(finding('long-grace', message, "synchronise clocks, and make 'grace' smaller", subject))
  }
  return findings
}

function weakSecret(name: string, { secret }: RotatingSequence, which: string): Finding[] {
  const bytes = Buffer.from(secret)
  const plain = whyPlain(bytes)
  const isShort = bytes.length < enoughBytes
  if (!isShort && plain === undefined) return []
  const why = isShort ? `has ${count(bytes.length, 'byte')}` : `is long but easy to guess, because ${plain}`
  const level = bytes.length < fewBytes ? 'error' : 'warning'
  const message = `the secret of the ${which} sequence of ${name} ${why}: an observer of one knock can try all`
  return [
    finding('weak-secret', message, 'pkctl keygen makes one; give it to the users of the credential', {
      credential: name,
      level,
    }),
  ]
}
