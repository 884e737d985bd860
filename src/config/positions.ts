/** Where in the files of a configuration a value or key stands. */
import type { Document, LineCounter, Pair } from 'yaml'
import { isAlias, isCollection, isMap, isNode, isPair, isScalar, isSeq } from 'yaml'
import { quote } from '../util/index.js'
import type { ConfigPath } from './config-path.js'
import type { SourcePosition } from './config-error.js'
import { formatPosition } from './config-error.js'

/** A file of the configuration, parsed. */
export interface SourceFile {
  readonly file: string
  readonly document: Document.Parsed
  readonly lines: LineCounter
  readonly value: Readonly<Record<string, unknown>>
}

export const startOf = (file: string): SourcePosition => ({ file, line: 1, column: 1 })

export function positionAt(file: string, lines: LineCounter, offset: number): SourcePosition {
  const { line, col } = lines.linePos(offset)
  return { file, line: Math.max(1, line), column: Math.max(1, col) }
}

export const givenTwice = (key: string, first: SourcePosition) =>
  `${quote(key)} is given twice, first at ${formatPosition(first)}`

/** Where the value at a path stands, or its key; where there is none, that of the mapping which should have it. */
export function locate(source: SourceFile, at: ConfigPath, what: 'key' | 'value'): SourcePosition {
  let node: unknown = source.document.contents
  let found: unknown = node
  for (const part of at) {
    const target: unknown = isAlias(node) ? node.resolve(source.document) : node
    const pair = isCollection(target) ? childOf(target, part) : undefined
    if (pair === undefined) break
    node = isPair(pair) ? pair.value : pair
    found = isPair(pair) && (what === 'key' || isEmpty(pair)) ? pair.key : node
  }
  const offset = isNode(found) ? (found.range?.[0] ?? 0) : 0
  return positionAt(source.file, source.lines, offset)
}

function childOf(collection: unknown, part: string | number): unknown {
  if (isSeq(collection)) return collection.items[Number(part)]
  if (!isMap(collection)) return undefined
  return collection.items.findLast(({ key }) => isScalar(key) && String(key.value) === String(part))
}

/** A value without characters starts after the colon, perhaps on the next line, where a reader would not look for it. */
const isEmpty = ({ value }: Pair) => !isNode(value) || (isScalar(value) && value.source === '')
