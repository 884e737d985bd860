/** The file of host entries, `~/.config/pkctl/hosts.yaml`: a mapping from names to entries, see host-entry.ts. */
import * as fs from 'node:fs'
import { isAlias, isMap, isScalar, LineCounter, parseDocument } from 'yaml'
import {
  credentialKeys,
  cutSecrets,
  isMapping,
  isTooDeep,
  quoteWhole,
  secretOptions,
  secretPlaces,
  verbatimOptions,
  verbatimValues,
  yamlProblems,
} from '../config/index.js'
import { quote, UserError } from '../util/index.js'
import type { HostEntry } from './host-entry.js'
import { hostEntryKeys, readHostEntry } from './host-entry.js'
import { hostsFile } from './client-paths.js'

/**
 * The host entry of that name, or undefined when the file has none or is not there. `warn` is told of secrets that YAML may
 * have cut. Messages never show a secret.
 */
export function findHostEntry(
  name: string,
  file = hostsFile(),
  warn: (warning: string) => void = () => undefined,
): HostEntry | undefined {
  const { entries, hides, cuts } = readHostsFile(file)
  const entry = entries.get(name)
  if (entry === undefined) return undefined
  for (const cut of cuts(name)) warn(cut)
  const { close, ...opening } = readHostEntry(name, entry, file, hides)
  if (close === undefined) return opening
  const other = entries.get(close)
  if (other === undefined || close === name) {
    const why = close === name ? 'a host entry cannot close itself' : `there is no host entry ${quote(close)}`
    throw new UserError(`${file}: ${name}.close: ${why}`, 'use the name of another host entry in the file')
  }
  for (const cut of cuts(close)) warn(cut)
  // What closes that one is of no interest here.
  const { close: _, ...closing } = readHostEntry(close, other, file, hides)
  return { ...opening, close: closing }
}

/** The names of all entries. Throws a UserError where the file cannot be used. */
export const hostNames = (file = hostsFile()): string[] => [...readHostsFile(file).entries.keys()]

interface HostsFile {
  readonly entries: ReadonlyMap<string, unknown>
  /** Whether this key of an entry can be a part of a secret without quotes. */
  readonly hides: (name: string, key: string) => boolean
  /** What YAML may have cut off the secrets of an entry: a sentence for each. */
  readonly cuts: (name: string) => string[]
}

const maxLength = 4 * 1024 * 1024
const noHosts: HostsFile = { entries: new Map(), hides: () => false, cuts: () => [] }

function readHostsFile(file: string): HostsFile {
  let content: string
  try {
    content = fs.readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return noHosts
    throw new UserError(`${file} cannot be read: ${(error as Error).message}`)
  }
  if (content.length > maxLength) throw new UserError(`${file} is larger than ${maxLength / 1024 / 1024} MiB`)
  if (isTooDeep(content)) throw new UserError(`${file} is nested too deeply`)
  const lines = new LineCounter()
  // Everything as it is written: a tag or key of digits must not become a number, and lose its leading zeros.
  const document = parsedDocument(content, lines, file)
  const isPartOfSecret = secretPlaces(content, secretOptions, [...hostEntryKeys, ...Object.keys(credentialKeys)])
  const isSecretAt = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return isPartOfSecret(line, col)
  }
  const [problem] = yamlProblems(document, isSecretAt)
  if (problem) {
    const { line, col } = lines.linePos(problem.offset)
    throw new UserError(`${file}:${line}:${col}: is not YAML: ${problem.message}`, problem.hint)
  }
  if (document.errors.length > 0) throw new UserError(`${file}: a key is given twice`)
  const value = valueOf(document, file)
  // An empty file is empty text there.
  if (value === '' || value === null) return noHosts
  if (!isMapping(value)) throw new UserError(`${file}: expected names and their host entries`)
  return {
    entries: new Map(Object.entries(value)),
    hides(name, key) {
      const entry: unknown = document.get(name, true)
      const pair = isMap(entry) ? entry.items.find(each => isScalar(each.key) && each.key.value === key) : undefined
      return isScalar(pair?.key) && isSecretAt(pair.key.range?.[0] ?? 0)
    },
    cuts(name) {
      const entry: unknown = document.get(name, true)
      const values = verbatimValues(isAlias(entry) ? entry.resolve(document) : entry, verbatimOptions)
      return cutSecrets(document, content, values).map(({ offset, message }) => {
        const { line, col } = lines.linePos(offset)
        return `${file}:${line}:${col}: ${message}; ${quoteWhole}`
      })
    },
  }
}

function parsedDocument(content: string, lines: LineCounter, file: string) {
  try {
    return parseDocument(content, {
      schema: 'failsafe',
      lineCounter: lines,
      prettyErrors: false,
      logLevel: 'error',
    })
  } catch {
    throw new UserError(`${file} is not YAML that can be used`)
  }
}

function valueOf(document: { toJS(): unknown }, file: string): unknown {
  try {
    return document.toJS()
  } catch {
    throw new UserError(`${file} is not YAML that can be used: its aliases lead to too many values`)
  }
}
