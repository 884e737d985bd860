/** The files of fwknopd: on each line a keyword and its value, which a `;` may end; `#` begins a comment. */
import type { Draft } from './draft.js'
import { caution, shorten } from './notes.js'

/** Of access.conf: a SOURCE, and what follows it up to the next one. */
export interface Stanza {
  /** That of its SOURCE. */
  readonly line: number
  readonly values: ReadonlyMap<string, string>
  /** Keywords that are given twice with different values: which of them counts is not known. */
  readonly ambiguous: readonly string[]
  /** Lines for fwknopd itself, such as %include_keys. */
  readonly directives: readonly string[]
}

interface Line {
  readonly number: number
  /** In capital letters. */
  readonly keyword: string
  readonly value: string
}

export function readStanzas(text: string, draft: Draft): Stanza[] {
  const stanzas: (Stanza & { values: Map<string, string>; ambiguous: string[]; directives: string[] })[] = []
  for (const { number, keyword, value } of linesOf(text, draft)) {
    if (keyword === 'SOURCE') {
      stanzas.push({ line: number, values: new Map([[keyword, value]]), ambiguous: [], directives: [] })
      continue
    }
    const stanza = stanzas.at(-1)
    // These name more stanzas, wherever they are.
    if (keyword === '%INCLUDE' || keyword === '%INCLUDE_FOLDER') {
      draft.caution(`left out: line ${number}: ${keyword.toLowerCase()} ${shorten(value)}: import those files, too`)
    } else if (!stanza) {
      draft.caution(`left out: line ${number}: ${shorten(keyword)} stands before the first SOURCE`)
    } else if (keyword.startsWith('%')) {
      stanza.directives.push(`${keyword.toLowerCase()} ${value}`)
    } else {
      const earlier = stanza.values.get(keyword)
      if (earlier !== undefined && earlier !== value) stanza.ambiguous.push(keyword)
      stanza.values.set(keyword, value)
    }
  }
  return stanzas
}

/** fwknopd.conf, in which the last value of a keyword counts. */
export const readDaemonFile = (text: string, draft: Draft): ReadonlyMap<string, string> =>
  new Map(linesOf(text, draft, 'fwknopd.conf, ').map(({ keyword, value }) => [keyword, value]))

/** `where` stands before the numbers of lines in notes. */
function linesOf(text: string, draft: Draft, where = ''): Line[] {
  return text
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)
    .flatMap((raw, i) => {
      const line = raw.trim()
      if (line === '' || line.startsWith('#')) return []
      const [, keyword, rest] = /^(%include\w*|\w+):?(?:\s+(.*))?$/is.exec(line) ?? []
      if (keyword === undefined) {
        // What it says is not shown: it can be a part of a key.
        draft.caution(`left out: ${where}line ${i + 1}: it does not begin with a keyword`)
        return []
      }
      const [value = '', ...more] = (rest ?? '').split(';')
      const after = more.join(';').trim()
      if (after !== '' && !after.startsWith('#')) {
        draft.caution(`left out: ${where}line ${i + 1}: what follows the ; after ${shorten(keyword)}`)
      }
      return [{ number: i + 1, keyword: keyword.toUpperCase(), value: value.trim() }]
    })
}

/** Whether a keyword that takes Y or N says Y. */
export const saysYes = (values: ReadonlyMap<string, string>, keyword: string): boolean =>
  /^y/i.test(values.get(keyword) ?? '')

/** A note is a line to be read. */
const mostNamed = 8

/** What a note says of keywords that are there and not taken. */
export function leftOut(values: ReadonlyMap<string, string>, keywords: readonly string[], why: string) {
  const given = keywords.filter(keyword => values.has(keyword))
  const some = [...given.slice(0, mostNamed).map(shorten), ...(given.length > mostNamed ? ['…'] : [])]
  return given.length > 0 ? [caution(`left out: ${some.join(', ')}: ${why}`)] : []
}
