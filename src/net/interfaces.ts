/**
 * Names of network interfaces, as nft compares them with `iifname`: whole names, or all that start with what stands before
 * a `*`. Interfaces can come and go; their names are all that is kept.
 */
import { unexpected } from '../util/index.js'

/** The longest name that Linux takes. */
const maxLength = 15

/** Of an interface, without characters that mean something to nft. */
const pattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]*\*?$/

/** One name, or the start of names with `*` after it, such as `ppp*`. */
export function parseInterface(text: string): string {
  if (pattern.test(text) && text.length <= maxLength) return text
  throw unexpected('the name of an interface such as eth0, or ppp* for all that start with ppp', text)
}

/** Sorted, without those that another one matches: a set of nft refuses overlaps. */
export const withoutCovered = (names: readonly string[]): string[] =>
  [...new Set(names)].filter(name => !names.some(other => other !== name && matchesInterface(other, name))).sort()

/** Whether `pattern` matches the name; of a name with `*`, whether it matches all that this one matches. */
export function matchesInterface(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name
}

/** The interface that is meant where these names mean exactly one. */
export const onlyInterface = (names: readonly string[]): string | undefined =>
  names.length === 1 && !names[0]?.endsWith('*') ? names[0] : undefined
