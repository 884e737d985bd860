/**
 * Places of ipt_pkd's client, knock.py: `~/.ipt_pkd.ini`, a section for each with `host`, `key`, and perhaps `tag`,
 * `port` and `old`. Read as that program reads it, by Python 2's ConfigParser; what this reader does not know is an
 * error and not a knock with another key. Messages never show a line's text, which may hold a key.
 */
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import type { PkdPlace } from './places.js'
import { CliError } from './terminal.js'

export type Sections = ReadonlyMap<string, ReadonlyMap<string, string>>

export class IniError extends Error {
  override readonly name = 'IniError'
  constructor(
    readonly line: number,
    message: string,
  ) {
    super(message)
  }
}

/** Values of this section hold in all others. */
const defaults = 'DEFAULT'

/** Sections and their values. Names of values are lower-cased; of what is given twice, the last counts. */
export function parseIni(text: string): Sections {
  const sections = new Map<string, Map<string, string>>()
  let current: Map<string, string> | undefined
  let continues = false
  for (const [i, line] of text
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)
    .entries()) {
    if (/^\s*([#;]|$)|^rem(\s|$)/i.test(line)) continue
    const fail = (message: string): never => {
      throw new IniError(i + 1, message)
    }
    if (continues && /^\s/.test(line)) fail('a line that begins with a space goes on with the one before')
    const section = /^\s*\[([^\]]+)\]/.exec(line)?.[1]
    if (section !== undefined) {
      current = sections.get(section) ?? new Map<string, string>()
      sections.set(section, current)
      continues = false
      continue
    }
    const [, name = '', value = ''] = /^([^=:]*)[=:](.*)$/.exec(line) ?? fail("expected [place], or 'name = value'")
    if (name.trim() === '') fail('a value without a name')
    if (current === undefined) fail('a value before the first [place]')
    if (value.includes('%(')) fail('%( stands for another value there, which is not supported here')
    current?.set(name.trim().toLowerCase(), valueOf(value))
    continues = true
  }
  const shared = sections.get(defaults) ?? new Map<string, string>()
  sections.delete(defaults)
  return new Map([...sections].map(([name, values]) => [name, new Map([...shared, ...values])]))
}

/** A semicolon starts a comment if it is the first one and has a space before it; `""` is empty. */
function valueOf(text: string): string {
  const value = text
    .trim()
    .replace(/^([^;]*)\s;.*$/, '$1')
    .trimEnd()
  return value === '""' ? '' : value
}

export const iptPkdFile = (): string => path.join(os.homedir(), '.ipt_pkd.ini')

/** The place of that name, or undefined when the file has none or is not there. */
export function findIptPkdPlace(name: string, file = iptPkdFile()): PkdPlace | undefined {
  const section = readSections(file).get(name)
  if (section === undefined) return undefined
  const fail = (message: string, hint?: string): never => {
    throw new CliError(`${file}: [${name}]: ${message}`, hint)
  }
  const { host, key, tag, port, old } = Object.fromEntries(section) as Record<string, string | undefined>
  if (!host) return fail('has no host')
  if (old !== undefined && !/^(0|no|off|false|new)$/i.test(old))
    fail(
      'asks for the old format of knocks, which is not supported',
      'ipt_pkd 1.0 and later, nf-pkd and pkctld refuse it as well; take the line with old out',
    )
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) <= 65_535)) fail('expected a port from 1 to 65535')
  return {
    type: 'pkd',
    host,
    ...(key === undefined ? {} : { key }),
    ...(tag === undefined ? {} : { tag }),
    // 0 is a random one, as without port.
    ...(port === undefined || Number(port) === 0 ? {} : { port: Number(port) }),
  }
}

function readSections(file: string): Sections {
  try {
    return parseIni(fs.readFileSync(file, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Map()
    if (error instanceof IniError) throw new CliError(`${file}:${error.line}: ${error.message}`)
    throw new CliError(`${file} cannot be read: ${(error as Error).message}`)
  }
}
