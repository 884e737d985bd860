/**
 * The options before a key in authorized_keys: names, some with a value in double quotes, with commas between them and
 * no blanks outside the quotes. Names are the same in capitals. Within quotes, `\"` is a quote.
 */
import { quote } from '../../util/index.js'
import { SshFormatError } from './ssh-format-error.js'

/** An option as it is written. */
export interface KeyOption {
  /** In lower case. */
  readonly name: string
  readonly value?: string
}

/** The options at the beginning of the line, and what follows them. Throws a SshFormatError. */
export function splitOptions(line: string): { readonly options: KeyOption[]; readonly rest: string } {
  const end = endOfOptions(line)
  return { options: readOptions(line.slice(0, end)), rest: line.slice(end).replace(/^[ \t]+/, '') }
}

/** Where the first blank is that is not in quotes. */
function endOfOptions(line: string): number {
  let isQuoted = false
  for (let at = 0; at < line.length; at++) {
    const character = line[at]
    if (character === '\\' && line[at + 1] === '"') at++
    else if (character === '"') isQuoted = !isQuoted
    else if (!isQuoted && (character === ' ' || character === '\t')) return at
  }
  if (isQuoted) throw new SshFormatError('a quote is not closed')
  return line.length
}

function readOptions(text: string): KeyOption[] {
  const options: KeyOption[] = []
  const pattern = /([A-Za-z0-9-]+)(?:="((?:\\"|[^"])*)")?(,(?=.)|$)/sy
  while (pattern.lastIndex < text.length) {
    const at = pattern.lastIndex
    const [, name, value] = pattern.exec(text) ?? []
    if (name === undefined) throw new SshFormatError(`${quote(text.slice(at))} is neither an option nor a key`)
    options.push({ name: name.toLowerCase(), ...(value !== undefined && { value: value.replaceAll('\\"', '"') }) })
  }
  return options
}
