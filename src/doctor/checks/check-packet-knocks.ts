/** Credentials whose knock is one packet. */
import type { PacketKnockCredential } from '../../config/index.js'
import { enoughBytes, fewBytes, whyPlain, withoutZeroBytes } from '../../config/index.js'
import type { PkdCredential } from '../../config/types.js'
import { defaultTag, formatTag, pkdTagLength } from '../../knock/index.js'
import { count } from '../../util/index.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'
import { listed } from './descriptions.js'

export function checkKey({ name, key }: { readonly name: string; readonly key: Buffer }): Finding[] {
  const subject = { credential: name }
  const bytes = withoutZeroBytes(key)
  const newKey = 'pkctl keygen makes one; give it to the users of the credential'
  if (bytes.length < enoughBytes) {
    const level = bytes.length < fewBytes ? 'error' : 'warning'
    const message = `the key of ${name} has ${count(bytes.length, 'byte')}: an observer of one knock can try all keys`
    return [finding('weak-key', message, newKey, { ...subject, level })]
  }
  const why = whyPlain(bytes)
  if (why === undefined) return []
  return [finding('weak-key', `the key of ${name} is long but easy to guess: ${why}`, newKey, subject)]
}

/** What any credential has that is knocked by one packet. */
export function checkPacketKnock({ name, type, skew, rate, onBehalfOf }: PacketKnockCredential): Finding[] {
  const subject = { credential: name }
  const findings: Finding[] = []
  // What begins otherwise in each period, the kernel drops after a minute, whatever the skew.
  if (skew === -1 && type !== 'ssh' && type !== 'symmetric') {
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
        `${name} may grant any address at all on behalf (${listed(everywhere)})`,
        "name the networks for which it is meant in 'obo-prefixes'",
        subject,
      ),
    )
  }
  return findings
}

const manyWithOneTag = 4

export function sharedTags(credentials: readonly PkdCredential[]): Finding[] {
  const byTag = new Map<string, string[]>()
  for (const { tag, name } of credentials) byTag.set(formatTag(tag), [...(byTag.get(formatTag(tag)) ?? []), name])
  return [...byTag]
    .filter(([, names]) => names.length > manyWithOneTag)
    .map(([tag, names]) =>
      finding(
        'shared-tag',
        `${names.length} credentials have the tag ${tag}${tag === defaultTag ? ', the default' : ''}: each knock is tried with the key of each`,
        `give them tags of their own, of up to ${pkdTagLength} bytes`,
      ),
    )
}
