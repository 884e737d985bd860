/**
 * Secrets of which YAML takes a part: of `key: abc #def` it takes `abc`, of `key: &abc def` and of `key: ! def` it takes
 * `def`. Each can be meant, but hardly for a secret: the other side would have another one.
 */
import type { Document, Scalar } from 'yaml'
import { isMap, isScalar, visit } from 'yaml'

interface CutSecret {
  /** Of the value, in characters from the start of the text. */
  readonly offset: number
  /** What YAML makes of it; it quotes nothing. */
  readonly message: string
  /** Nothing is left of the value. */
  readonly isEmpty: boolean
}

export const quoteWhole = 'if it belongs to the value, put that between single quotes'

/** Those of `values`, which are of `document` and stand in `text`. */
export function cutSecrets(document: Document, text: string, values: readonly Scalar[]): CutSecret[] {
  const used = new Set<string>()
  visit(document, {
    Alias: (_, { source }) => {
      used.add(source)
    },
  })
  return values.flatMap(({ anchor, tag, type, range, source }) => {
    const [offset, end] = range ?? [0, 0]
    const cut = (message: string) => ({ offset, message, isEmpty: source === '' && type === 'PLAIN' })
    return [
      ...(anchor !== undefined && !used.has(anchor)
        ? [cut('YAML takes the word after & for a name, and nothing uses it')]
        : []),
      ...(tag === '!' ? [cut('YAML takes the ! before it for a tag')] : []),
      // What is meant for a reader has a space after the #, or stands in a line of its own.
      ...(type === 'PLAIN' && /^[ \t]*#+[^\s#]/.test(text.slice(end))
        ? [cut('YAML takes what follows # for a comment')]
        : []),
    ]
  })
}

/** The values of these options in `entry`, a credential or a host entry. */
export const verbatimValues = (entry: unknown, options: ReadonlySet<string>): Scalar[] =>
  isMap(entry)
    ? entry.items.flatMap(({ key, value }) =>
        isScalar(key) && options.has(String(key.value)) && isScalar(value) ? [value] : [],
      )
    : []
