/** Untrusted text, made safe for one line of a message. */

const maxShownLength = 60

/** `text` in quotes, on one line whatever it holds, and cut when long. */
export function quote(text: string): string {
  const cut = text.length > maxShownLength ? `${text.slice(0, maxShownLength)}…` : text
  return `'${oneLine(cut)}'`
}

/** `text` without anything that could break a line or steer a terminal. */
export function oneLine(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are the point
  return text.replace(/[\0-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, character => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

/** A value of the configuration, as a message shows it. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return value === '' ? 'empty text' : quote(value)
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return sortOfValue(value)
}

/** `1 service`, `2 services`. */
export const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? '' : 's'}`

/** What sort of value it is, for messages that must not show a secret. */
export function sortOfValue(value: unknown): string {
  if (value === null || value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a mapping'
  return typeof value === 'string' ? 'text' : `a ${typeof value}`
}
