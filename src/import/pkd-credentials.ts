/** Credentials for PKD knocks, of which there can be one for each tag and key. */
import { withoutCovered } from '../net/index.js'
import { interfaceOption } from './interface-names.js'
import { parsePkdKey, parseTag, SecretFormatError } from '../knock/index.js'
import type { Draft } from './draft.js'
import { bound } from './draft.js'
import type { OpenedPorts, TriggerDraft } from './draft-entries.js'
import type { Note } from './notes.js'
import { caution } from './notes.js'

export interface PkdRule {
  readonly name: string
  readonly tag: string
  readonly key: string
  /** Seconds, or -1 for any clock. */
  readonly skew: number
  /** The port to knock at; undefined = any. */
  readonly port?: number | undefined
  /** By which interfaces knocks count; empty or undefined = by all. */
  readonly interfaces?: readonly string[]
  readonly opens: readonly OpenedPorts[]
  readonly onOpen?: TriggerDraft | undefined
  readonly notes: readonly Note[]
}

/** Why a tag or key cannot be one; undefined when both can. */
export function unusable(tag: string, key: string): string | undefined {
  try {
    parseTag(tag)
    parsePkdKey(key)
    return undefined
  } catch (error) {
    if (error instanceof SecretFormatError) return error.message
    throw error
  }
}

/** Rules whose tags and keys can be used, those that knock alike as one credential. */
export function addPkdRules(draft: Draft, rules: readonly PkdRule[]): void {
  bound(rules.length)
  const merged = new Map<string, PkdRule>()
  for (const rule of rules) {
    const secret = `${parseTag(rule.tag).toString('hex')} ${parsePkdKey(rule.key).toString('hex')}`
    const earlier = merged.get(secret)
    merged.set(secret, earlier ? join(earlier, rule) : rule)
  }
  for (const rule of merged.values()) {
    const { name, tag, key, skew, port, opens, onOpen } = rule
    const { interfaces = [], notes } = isToldApart(rule, merged.values()) ? rule : onAllInterfaces(rule)
    draft.credential({
      name,
      options: {
        type: 'pkd',
        tag: printable(tag),
        ...(port === undefined ? {} : { port }),
        ...(skew === 10 ? {} : { skew }),
        ...interfaceOption(interfaces),
      },
      secrets: { key: printable(key) },
      opens,
      ...(onOpen ? { onOpen } : {}),
      notes,
    })
  }
}

/** Two credentials with one tag are told apart by their keys, which the kernel does not know. */
const isToldApart = ({ tag, interfaces = [] }: PkdRule, rules: Iterable<PkdRule>) =>
  [...rules].every(
    other => !parseTag(other.tag).equals(parseTag(tag)) || (other.interfaces ?? []).join() === interfaces.join(),
  )

function onAllInterfaces(rule: PkdRule): PkdRule {
  const { interfaces = [], notes } = rule
  if (interfaces.length === 0) return rule
  const why = 'others with its tag have another interface; give it a tag of its own, and interface'
  return {
    ...rule,
    interfaces: [],
    notes: [...notes, caution(`left out: --in-interface ${interfaces.join(', ')}: ${why}`)],
  }
}

function join(one: PkdRule, other: PkdRule): PkdRule {
  const notes = [...one.notes, ...other.notes]
  const name = `'${other.name.slice(0, 60)}'`
  notes.push(
    caution(`${name} has the same tag and key: a knock by the one is a knock by the other, and they are one here`),
  )
  const strictness = (skew: number) => (skew === -1 ? Infinity : skew)
  const skew = strictness(other.skew) < strictness(one.skew) ? other.skew : one.skew
  if (one.skew !== other.skew)
    notes.push(caution(`their skews differ (${one.skew} and ${other.skew}); here it is ${skew}`))
  if (one.port !== other.port) notes.push(caution('they are knocked for at different ports; here at any'))
  if (one.onOpen && other.onOpen) notes.push(caution(`left out: the command of ${name}, because one can be run`))
  return {
    ...one,
    skew,
    port: one.port === other.port ? one.port : undefined,
    interfaces: bothInterfaces(one.interfaces ?? [], other.interfaces ?? []),
    opens: [...one.opens, ...other.opens],
    onOpen: one.onOpen ?? other.onOpen,
    notes,
  }
}

/** None are all. */
const bothInterfaces = (some: readonly string[], others: readonly string[]) =>
  some.length === 0 || others.length === 0 ? [] : withoutCovered([...some, ...others])

/** Control characters as hex, which a key file can hold, too. */
function printable(text: string): string {
  return /\p{C}/u.test(text) ? `0x${Buffer.from(text, 'utf8').toString('hex')}` : text
}
