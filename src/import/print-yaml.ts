/** YAML of what was imported. The library makes all of it from values, so that no input can add YAML of its own. */
import { Document, isSeq, Pair, Scalar, visit, YAMLMap } from 'yaml'
import { isTooDeep } from '../config/index.js'
import { oneLine, UserError } from '../util/index.js'
import type { DraftEntry, ImportResult } from './draft-entries.js'
import type { Note } from './notes.js'
import { shorten } from './notes.js'

/** A file that is to be written for a secret. */
interface NewSecretFile {
  readonly path: string
  readonly content: string
}

export interface Printed {
  readonly yaml: string
  /** For stderr, one line each. */
  readonly warnings: readonly string[]
  readonly files: readonly NewSecretFile[]
  /** Whether there is no entry, and so nothing of use. */
  readonly isEmpty: boolean
}

/** Gives the path of the file for a secret of an entry; undefined for those that stay in the YAML. */
export type SecretPath = (entry: string, option: string) => string | undefined

/** The loader refuses larger files. */
const maxBytes = 4 * 1024 * 1024
const commentWidth = 100

/** A configuration. */
export function printConfig(result: ImportResult, heading: string, secretPath: SecretPath): Printed {
  const files: NewSecretFile[] = []
  const printer = (entry: DraftEntry) => withSecrets(entry, secretPath, files)
  const root = new YAMLMap()
  for (const [option, value] of result.settings) root.items.push(pairOf(option, value, [], true))
  for (const [section, entries] of [
    ['services', result.services],
    ['credentials', result.credentials],
  ] as const) {
    if (entries.length > 0) root.items.push(pairOf(section, mapOf(entries.map(printer)), [], true))
  }
  return finish(root, heading, result.notes, [...result.services, ...result.credentials], files)
}

/** Entries of hosts.yaml, which has no sections. */
export function printHosts(
  hosts: readonly DraftEntry[],
  notes: readonly Note[],
  heading: string,
  secretPath: SecretPath,
): Printed {
  const files: NewSecretFile[] = []
  const root = mapOf(hosts.map(host => withSecrets(host, secretPath, files)))
  return finish(root, heading, notes, hosts, files)
}

function finish(
  root: YAMLMap,
  heading: string,
  notes: readonly Note[],
  entries: readonly DraftEntry[],
  files: readonly NewSecretFile[],
): Printed {
  const warnings = [
    ...notes.filter(({ warning }) => warning).map(({ text }) => oneLine(text)),
    ...entries.flatMap(({ name, notes }) =>
      notes.filter(({ warning }) => warning).map(({ text }) => oneLine(`${shorten(name)}: ${text}`)),
    ),
  ]
  const [first, ...rest] = root.items as Pair<Scalar>[]
  const top = [...wrapped(heading), ...notes.flatMap(({ text }) => ['', ...wrapped(text)])]
  let yaml = `${top.map(line => `# ${line}`.trimEnd()).join('\n')}\n`
  if (first) {
    first.key.spaceBefore = false
    for (const { key } of rest) key.spaceBefore = true
    const document = new Document(null)
    document.contents = root
    document.commentBefore = commentOf(top)
    visit(document, {
      Seq: (_, node) => {
        node.flow = true
      },
      Scalar: (_, node) => {
        if (typeof node.value === 'string' && steering.test(node.value)) node.type = 'QUOTE_DOUBLE'
      },
    })
    yaml = escaped(document.toString({ lineWidth: 0, flowCollectionPadding: false, singleQuote: true }))
  }
  const bytes = Buffer.byteLength(yaml)
  if (bytes > maxBytes) throw new UserError(`the result has ${bytes} bytes, and pkctl reads at most ${maxBytes}`)
  if (isTooDeep(yaml))
    throw new UserError('a text of the result has too many brackets, colons or dashes for pkctl to read')
  return { yaml, warnings, files, isEmpty: entries.length === 0 }
}

const steering = /[\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/

/** Without characters that could steer a terminal; they are between double quotes, where YAML has escapes for them. */
const escaped = (yaml: string) =>
  yaml.replace(new RegExp(steering, 'g'), character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)

interface Ready {
  readonly name: string
  readonly options: Readonly<Record<string, unknown>>
  readonly notes: readonly Note[]
}

/** `type` and `tag` first, then the secrets, then the rest. */
function withSecrets(
  { name, options, secrets, notes }: DraftEntry,
  secretPath: SecretPath,
  files: NewSecretFile[],
): Ready {
  const given = Object.entries(secrets).map(([option, secret]) => {
    const file = /[\r\n]/.test(secret) ? undefined : secretPath(name, option)
    if (file === undefined) return [option, secret] as const
    files.push({ path: file, content: `${secret}\n` })
    return [`${option}-file`, file] as const
  })
  const isFirst = ([option]: [string, unknown]) => ['type', 'tag', 'host'].includes(option)
  const entries = Object.entries(options)
  return {
    name,
    notes,
    options: Object.fromEntries([...entries.filter(isFirst), ...given, ...entries.filter(one => !isFirst(one))]),
  }
}

const mapOf = (entries: readonly Ready[]): YAMLMap => {
  const map = new YAMLMap()
  entries.forEach(({ name, options, notes }, i) => {
    map.items.push(
      pairOf(
        name,
        options,
        notes.flatMap(({ text }) => wrapped(text)),
        i > 0 && entries.length > 1,
      ),
    )
  })
  return map
}

function pairOf(name: string, value: unknown, comment: readonly string[], space: boolean): Pair {
  const key = new Scalar(name)
  if (comment.length > 0) key.commentBefore = commentOf(comment)
  key.spaceBefore = space
  const node = value instanceof YAMLMap ? value : new Document(null).createNode(value)
  if (isSeq(node)) node.flow = true
  return new Pair(key, node)
}

// A line of one space is printed as a lone #.
const commentOf = (lines: readonly string[]) => lines.map(line => ` ${line}`).join('\n')

/** Lines of words, none with anything in it that ends a line. */
function wrapped(text: string): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of oneLine(text).split(' ')) {
    if (line !== '' && line.length + word.length >= commentWidth) {
      lines.push(line)
      line = ''
    }
    line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}
