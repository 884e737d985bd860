/** The files of a configuration: read, parsed as YAML, put together; and where in them each value stands. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import type { Document, Pair } from 'yaml'
import { isAlias, isCollection, isMap, isNode, isPair, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml'
import { kindOf, oneLine, quote } from '../util/text.js'
import type { Findings, SourcePosition } from './errors.js'
import { formatPosition } from './errors.js'

/** What the loader needs of a file system. Each function throws what node:fs would. */
export interface ConfigReader {
  readFile(file: string): Buffer
  readDirectory(directory: string): string[]
  /** Throws where this process may not write it. */
  canWrite(file: string): void
  stat(file: string): { readonly mode: number; readonly size: number; readonly gid: number; isFile(): boolean }
  /** The group in which the daemon reads its keys, where it has a user of its own. */
  readonly daemonGroup: number | undefined
}

export const nodeReader: ConfigReader = {
  readFile: file => fs.readFileSync(file),
  readDirectory: directory => fs.readdirSync(directory),
  stat: file => fs.statSync(file),
  canWrite: file => fs.accessSync(file, fs.constants.W_OK),
  get daemonGroup() {
    return process.geteuid?.() === 0 ? serviceUser()?.gid : process.getegid?.()
  },
}

/** The user that the packages make for the daemon, if there is one here. */
export function serviceUser(): { readonly uid: number; readonly gid: number } | undefined {
  try {
    const [, uid, gid] = /^pkctl:[^:]*:(\d+):(\d+):/m.exec(fs.readFileSync('/etc/passwd', 'utf8')) ?? []
    // Never root's: what group 0 may read is no better kept than what others may.
    return Number(uid) > 0 && Number(gid) > 0 ? { uid: Number(uid), gid: Number(gid) } : undefined
  } catch {
    return undefined
  }
}

/** The keys and indices that lead to a value. */
export type ConfigPath = readonly (string | number)[]

export interface SourceFile {
  readonly file: string
  readonly document: Document.Parsed
  readonly lines: LineCounter
  readonly value: Readonly<Record<string, unknown>>
}

const maxFileSize = 4 * 1024 * 1024
// The parser recurses: at some depth Node would run out of stack, and then it may abort instead of throwing.
const maxFlowDepth = 200
const tooDeepBlock = /^[ \t\-?:]{200}/m

export const startOf = (file: string): SourcePosition => ({ file, line: 1, column: 1 })

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}

/** The main file and those of conf.d beside it, as far as they could be parsed. */
export function readSources(file: string, reader: ConfigReader, findings: Findings): SourceFile[] {
  const directory = path.join(path.dirname(file), 'conf.d')
  return [file, ...listDirectory(directory, reader, findings)].flatMap(each => readSource(each, reader, findings) ?? [])
}

function listDirectory(directory: string, reader: ConfigReader, findings: Findings): string[] {
  try {
    return reader
      .readDirectory(directory)
      .filter(name => /^[^.].*\.ya?ml$/s.test(name))
      .sort()
      .map(name => path.join(directory, name))
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') {
      findings.problem(startOf(directory), `cannot be read: ${reasonOf(cause)}`)
    }
    return []
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
  ENOTDIR: 'it is not a directory',
  EROFS: 'read-only file system',
}

/** Why a file could not be read, in a few words. */
export function reasonOf(cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException
  return reasons[code ?? ''] ?? oneLine(message)
}

/** The bytes as text; undefined when they are not UTF-8. */
export function decodeText(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

function readSource(file: string, reader: ConfigReader, findings: Findings): SourceFile | undefined {
  const refuse = (message: string): undefined => {
    findings.problem(startOf(file), message)
    return undefined
  }
  let bytes: Buffer
  try {
    bytes = reader.readFile(file)
  } catch (cause) {
    refuse(`cannot be read: ${reasonOf(cause)}`)
    return
  }
  if (bytes.length > maxFileSize) {
    refuse(`is larger than ${maxFileSize / 1024 / 1024} MiB`)
    return
  }
  const text = decodeText(bytes)
  if (text === undefined) {
    refuse('is not UTF-8 text')
    return
  }
  if (flowDepth(text) > maxFlowDepth || tooDeepBlock.test(text)) {
    refuse('is nested too deeply')
    return
  }
  return parseSource(file, text, findings)
}

/** How many brackets are open at once, at most; too many in comments and quotes count as well, and do not matter. */
function flowDepth(text: string): number {
  let depth = 0
  let deepest = 0
  for (const [bracket] of text.matchAll(/[[\]{}]/g)) {
    depth = bracket === '[' || bracket === '{' ? depth + 1 : Math.max(0, depth - 1)
    deepest = Math.max(deepest, depth)
  }
  return deepest
}

function parseSource(file: string, text: string, findings: Findings): SourceFile | undefined {
  const lines = new LineCounter()
  try {
    const document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      logLevel: 'error',
      stringKeys: true,
    })
    keepSecretsAsWritten(document)
    if (!isSound(document, file, lines, findings)) return undefined
    const value: unknown = document.toJS() ?? {}
    if (isMapping(value)) return { file, document, lines, value }
    findings.problem(startOf(file), `expected a mapping of options, got ${kindOf(value)}`)
  } catch (cause) {
    // Among them too many aliases, which the parser counts while it follows them.
    findings.problem(startOf(file), `is not YAML that can be used: ${oneLine((cause as Error).message)}`)
  }
  return undefined
}

/** Reports what is wrong with the YAML itself; whether its values are worth a look. */
function isSound(document: Document.Parsed, file: string, lines: LineCounter, findings: Findings): boolean {
  const placeAt = (offset: number) => place(file, lines, offset)
  const before = findings.problems.length
  for (const { code, message, pos } of [...document.errors, ...document.warnings]) {
    if (code === 'DUPLICATE_KEY') continue
    const plain = code === 'MULTIPLE_DOCS' ? 'expected one YAML document, got several' : oneLine(message)
    findings.problem(placeAt(pos[0]), plain)
  }
  const anchors = new Set<string>()
  visit(document, {
    Node: (_, node) => {
      if (isAlias(node)) {
        if (!anchors.has(node.source)) {
          findings.problem(
            placeAt(node.range?.[0] ?? 0),
            `there is no anchor &${oneLine(node.source)} before this alias`,
          )
        }
      } else if (node.anchor !== undefined) anchors.add(node.anchor)
    },
    Pair: (_, { key }) => {
      if (isScalar(key) && key.value === '__proto__') {
        findings.problem(placeAt(key.range?.[0] ?? 0), "'__proto__' cannot be a key")
      }
    },
  })
  const sound = findings.problems.length === before
  reportDuplicates(document, placeAt, findings)
  return sound
}

function reportDuplicates(
  document: Document.Parsed,
  placeAt: (offset: number) => SourcePosition,
  findings: Findings,
): void {
  if (!document.errors.some(({ code }) => code === 'DUPLICATE_KEY')) return
  visit(document, {
    Map: (_, { items }) => {
      const first = new Map<string, SourcePosition>()
      for (const { key } of items) {
        if (!isScalar(key)) continue
        const at = placeAt(key.range?.[0] ?? 0)
        const earlier = first.get(String(key.value))
        if (earlier) findings.problem(at, givenTwice(String(key.value), earlier))
        else first.set(String(key.value), at)
      }
    },
  })
}

const givenTwice = (key: string, first: SourcePosition) =>
  `${quote(key)} is given twice, first at ${formatPosition(first)}`

function place(file: string, lines: LineCounter, offset: number): SourcePosition {
  const { line, col } = lines.linePos(offset)
  return { file, line: Math.max(1, line), column: Math.max(1, col) }
}

/** `key: 0x31` and `tag: 1234` are numbers to YAML. They are meant as written, and a number would lose digits. */
const secretKeys = new Set(['key', 'tag', 'open-secret', 'close-secret'])

function keepSecretsAsWritten(document: Document.Parsed): void {
  const credentials = isMap(document.contents) ? document.contents.get('credentials', true) : undefined
  if (!isMap(credentials)) return
  for (const { value: credential } of credentials.items) {
    if (!isMap(credential)) continue
    for (const { key, value } of credential.items) {
      const isText = isScalar(key) && secretKeys.has(String(key.value))
      if (isText && isScalar(value) && value.value !== null && value.tag === undefined && value.source !== undefined) {
        value.value = value.source
      }
    }
  }
}

/** All files as one mapping, and the way back from a value to its place. */
export interface Merged {
  readonly value: Readonly<Record<string, unknown>>
  /** Where the value at `at` stands; where there is none, that of the mapping which should have it. */
  placeOf(at: ConfigPath): SourcePosition
  /** Where the key of the value at `at` stands. */
  placeOfKey(at: ConfigPath): SourcePosition
  /** The file that gives the value at `at`. */
  fileOf(at: ConfigPath): string
}

/** Puts the files together: each option and each name once. `sections` are the keys that hold options or names. */
export function mergeSources(
  main: string,
  sources: SourceFile[],
  sections: readonly string[],
  findings: Findings,
): Merged {
  const value = new Map<string, unknown>()
  const origins = new Map<string, SourceFile>()
  const originOf = ([section, key]: ConfigPath) =>
    origins.get(JSON.stringify([section, key])) ?? origins.get(JSON.stringify([section]))
  const find = (at: ConfigPath, what: 'key' | 'value') => {
    const source = originOf(at)
    return source ? locate(source, at, what) : startOf(main)
  }

  /** Whether `at` is given here for the first time; a problem if not. */
  function claim(at: ConfigPath, source: SourceFile): boolean {
    const first = origins.get(JSON.stringify(at))
    if (!first) {
      origins.set(JSON.stringify(at), source)
      return true
    }
    findings.problem(
      locate(source, at, 'key'),
      `${at
        .slice(0, -1)
        .map(part => `${oneLine(String(part))}: `)
        .join('')}${givenTwice(String(at.at(-1)), locate(first, at, 'key'))}`,
    )
    return false
  }

  for (const source of sources) {
    for (const [section, given] of Object.entries(source.value)) {
      const content = given === null && sections.includes(section) ? {} : given
      const before = value.get(section)
      if (!isMapping(content) || (before !== undefined && !isMapping(before))) {
        if (claim([section], source)) value.set(section, content)
        continue
      }
      if (!origins.has(JSON.stringify([section]))) origins.set(JSON.stringify([section]), source)
      const added = Object.entries(content).filter(([key]) => claim([section, key], source))
      value.set(section, { ...(before ?? {}), ...Object.fromEntries(added) })
    }
  }
  return {
    value: Object.fromEntries(value),
    placeOf: at => find(at, 'value'),
    placeOfKey: at => find(at, 'key'),
    fileOf: at => originOf(at)?.file ?? main,
  }
}

function locate(source: SourceFile, at: ConfigPath, what: 'key' | 'value'): SourcePosition {
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
  return place(source.file, source.lines, offset)
}

function childOf(collection: unknown, part: string | number): unknown {
  if (isSeq(collection)) return collection.items[Number(part)]
  if (!isMap(collection)) return undefined
  return collection.items.findLast(({ key }) => isScalar(key) && String(key.value) === String(part))
}

/** A value of no characters has its place after the colon, perhaps on the next line, where nobody looks for it. */
const isEmpty = ({ value }: Pair) => !isNode(value) || (isScalar(value) && value.source === '')
