/** Secrets of the configuration: in the file itself, or in a file of their own, which others must not be able to use. */
import * as path from 'node:path'
import { decodeText, oneLine, reasonOf } from '../util/index.js'
import type { ConfigPath } from './config-path.js'
import { formatPath, isMapping } from './config-path.js'
import type { Context } from './context.js'
import type { SourcePosition } from './config-error.js'

export interface SecretFile {
  readonly path: string
  /** The file's first line. */
  readonly line: string
}

/** That the secret is given once, if it is `needed`; and its file's content when it is in one. */
export function readSecret(
  given: Record<string, unknown>,
  option: string,
  needed: boolean,
  at: ConfigPath,
  context: Context,
): SecretFile | undefined {
  const { merged, findings } = context
  const fileOption = `${option}-file`
  if (option in given && fileOption in given) {
    const message = `'${option}' and '${fileOption}' are both given; one is needed`
    findings.problem(merged.positionOfKey([...at, fileOption]), `${formatPath(at)}${message}`)
  } else if (needed && !(option in given) && !(fileOption in given)) {
    findings.problem(merged.positionOf(at), `${formatPath(at)}'${option}' or '${fileOption}' is missing`)
  }
  const file = given[fileOption]
  if (typeof file !== 'string' || file === '') return undefined
  return readSecretFile(path.resolve(path.dirname(merged.fileOf(at)), file), [...at, fileOption], context)
}

// Room for a hex key, comments below it, and whatever a person may have added.
const maxKeyFileSize = 65_536
const groupOrOthersUse = 0o066
const groupReads = 0o040
const othersRead = 0o004

/** Undefined after a problem, which is in the findings then. `at`: of the option that names the file. */
export function readSecretFile(file: string, at: ConfigPath, context: Context): SecretFile | undefined {
  const { merged, findings, reader, allowReadableKeys } = context
  const place = merged.positionOf(at)
  const about = `${formatPath(at)}${oneLine(file)}`
  const refuse = (message: string, hint?: string): undefined => {
    findings.problem(place, `${about} ${message}`, hint)
    return undefined
  }
  let bytes: Buffer
  try {
    const { stat, bytes: read } = reader.readChecked(file, maxKeyFileSize)
    const { mode, size, gid } = stat
    const ofDaemon = reader.daemonGroup !== undefined && reader.daemonGroup !== 0 && gid === reader.daemonGroup
    const tooOpen = mode & (ofDaemon ? groupOrOthersUse & ~groupReads : groupOrOthersUse)
    if (!stat.isFile()) {
      refuse('is not a regular file')
      return
    }
    if (size > maxKeyFileSize) {
      refuse('is too large for a key, which is one line')
      return
    }
    if (tooOpen !== 0) {
      const verb = (tooOpen & 0o044) !== 0 ? 'read' : 'written'
      const message = `can be ${verb} by group or others (mode ${(mode & 0o7777).toString(8).padStart(4, '0')})`
      const remedy = `chmod ${ofDaemon ? '640' : '600'} ${oneLine(file)}`
      if (allowReadableKeys) findings.warn(place, `${about} ${message}; ${remedy}`)
      else refuse(message, `${remedy}, or set 'allow-readable-keys: true'`)
    }
    bytes = read
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const group = process.getegid?.() ?? 0
    const hint = `as root: chgrp ${group} ${oneLine(file)}; chmod 640 ${oneLine(file)}`
    refuse(`cannot be read: ${reasonOf(cause)}`, code === 'EACCES' && group !== 0 ? hint : undefined)
    return
  }
  const text = decodeText(bytes)
  if (text === undefined) {
    refuse('is not UTF-8 text', 'write the key as hex after 0x')
    return
  }
  const line = text.split(/\r?\n/, 1)[0] ?? ''
  if (line === '') {
    refuse(text === '' ? 'is empty' : 'has an empty first line, where the key should be')
    return
  }
  if (line.trim() !== line) findings.warn(place, `${about} has a key that starts or ends with white space`)
  return { path: file, line }
}

/** One warning for each file that everyone can read and that holds a secret, in one of `secretOptions`. */
export function warnOfReadableConfig({ merged, findings, reader }: Context, secretOptions: readonly string[]): void {
  const entries = ['credentials', 'notify'].flatMap(section => {
    const named = merged.value[section]
    return isMapping(named) ? Object.entries(named).map(([name, entry]) => ({ section, name, entry })) : []
  })
  const first = new Map<string, SourcePosition>()
  for (const { section, name, entry } of entries) {
    const option = secretOptions.find(one => isMapping(entry) && one in entry)
    if (option === undefined) continue
    const at = [section, name, option]
    if (!first.has(merged.fileOf(at))) first.set(merged.fileOf(at), merged.positionOfKey(at))
  }
  for (const [file, place] of first) {
    try {
      if ((reader.stat(file).mode & othersRead) === 0) continue
    } catch {
      continue // It has just been read; whatever became of it, its mode no longer matters.
    }
    findings.warn(place, `everyone can read the key in this file; chmod 640 ${oneLine(file)}`)
  }
}
