/**
 * Host entries of ipt_pkd's client, knock.py: `~/.ipt_pkd.ini`, a section for each with `host`, `key`, and perhaps `tag`,
 * `port` and `old`. Read as that program reads it, by Python 2's ConfigParser; what this reader does not know is an
 * error and not a knock with another key. Messages never show a line's text, which may hold a key.
 */
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import type { Sections } from '../util/index.js'
import { IniError, parseIni, UserError } from '../util/index.js'
import type { PkdHostEntry } from './host-entry.js'

const iptPkdFile = (): string => path.join(os.homedir(), '.ipt_pkd.ini')

/** The host entry of that name, or undefined when the file has none or does not exist. */
export function findIptPkdHost(name: string, file = iptPkdFile()): PkdHostEntry | undefined {
  const section = readSections(file).get(name)
  if (section === undefined) return undefined
  const fail = (message: string, hint?: string): never => {
    throw new UserError(`${file}: [${name}]: ${message}`, hint)
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
    if (error instanceof IniError) throw new UserError(`${file}:${error.line}: ${error.message}`)
    throw new UserError(`${file} cannot be read: ${(error as Error).message}`)
  }
}
