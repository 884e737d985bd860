/**
 * The addresses of `from=`: a list of addresses, prefixes and patterns with `*` and `?`, each of them negated by a `!`
 * before it. An address must match one that is not negated, and none that is.
 *
 * sshd can compare names of hosts, too. pkctl resolves no names, as sshd without UseDNS, so that a name never matches. A
 * negated one would exclude none of what it should: it is refused.
 */
import { parsePrefix, prefixContains } from '../../net/index.js'
import { quote } from '../../util/index.js'
import { SshFormatError } from './ssh-format-error.js'

export interface SourcePatterns {
  /** As they are written. */
  readonly text: string
  /** Names of hosts, which never match. */
  readonly names: readonly string[]
  /** Whether the address, in the spelling of nft, is accepted. */
  matches(address: string): boolean
}

/** Throws a SshFormatError. */
export function parseSourcePatterns(text: string): SourcePatterns {
  const items = text.split(',').map(readItem)
  const accepted = items.flatMap(item => (item.isNegated || item.isName ? [] : [item.matches]))
  const excluded = items.flatMap(item => (item.isNegated ? [item.matches] : []))
  if (accepted.length === 0) throw new SshFormatError(`from=${quote(text)} accepts no address`)
  return {
    text,
    names: items.flatMap(item => (item.isName ? [item.text] : [])),
    matches: address => accepted.some(matches => matches(address)) && !excluded.some(matches => matches(address)),
  }
}

interface Item {
  readonly text: string
  readonly isNegated: boolean
  /** The name of a host, or a pattern of names. */
  readonly isName: boolean
  readonly matches: (address: string) => boolean
}

function readItem(item: string): Item {
  const isNegated = item.startsWith('!')
  const text = isNegated ? item.slice(1) : item
  if (text === '') throw new SshFormatError('from= has an empty pattern')
  if (/[\s!]/.test(text)) throw new SshFormatError(`from= has the invalid pattern ${quote(item)}`)
  const isName = !/^[0-9a-f:.*?/]+$/i.test(text)
  if (isName && isNegated) {
    throw new SshFormatError(`from= excludes the name ${quote(text)}, and pkctl resolves no names; exclude addresses`)
  }
  return { text, isNegated, isName, matches: isName ? () => false : matcherOf(text) }
}

function matcherOf(text: string): (address: string) => boolean {
  if (/[*?]/.test(text)) return matcherOfPattern(text)
  let prefix: string
  try {
    prefix = parsePrefix(text)
  } catch {
    throw new SshFormatError(`from= has ${quote(text)}, which is not an address or a prefix`)
  }
  return address => prefixContains(prefix, address)
}

function matcherOfPattern(text: string): (address: string) => boolean {
  const pattern = text.toLowerCase()
  return address => matchesPattern(pattern, address)
}

/**
 * Whether the pattern with `*` and `?` matches all of the text. Only the last `*` is tried again, so that no pattern, which
 * a user may have written, takes longer than the product of the lengths.
 */
function matchesPattern(pattern: string, text: string): boolean {
  let at = 0
  let star = -1
  let afterStar = 0
  for (let position = 0; position < text.length;) {
    if (pattern[at] === '*') {
      star = at++
      afterStar = position
    } else if (pattern[at] === '?' || pattern[at] === text[position]) {
      at++
      position++
    } else if (star >= 0) {
      at = star + 1
      position = ++afterStar
    } else {
      return false
    }
  }
  while (pattern[at] === '*') at++
  return at === pattern.length
}
