/** Sections of ~/.ipt_pkd.ini, the file of ipt_pkd's client, as entries of hosts.yaml. */
import { parsePort } from '../net/index.js'
import { IniError, oneLine, parseIni, UserError } from '../util/index.js'
import type { DraftEntry } from './draft-entries.js'
import type { Note } from './notes.js'
import { caution, shorten } from './notes.js'
import { unusable } from './pkd-credentials.js'

interface ImportedHosts {
  readonly hosts: readonly DraftEntry[]
  readonly notes: readonly Note[]
}

const known = ['host', 'key', 'tag', 'port', 'old']
const maxHosts = 1000

export function importIptPkdHosts(text: string, file: string): ImportedHosts {
  const notes: Note[] = []
  const hosts = [...sectionsOf(text, file)].flatMap(([name, values]) => {
    const host = hostEntry(name, values)
    if (typeof host !== 'string') return [host]
    notes.push(caution(`left out: [${shorten(name)}]: ${host}`))
    return []
  })
  if (hosts.length + notes.length > maxHosts) throw new UserError(`it has more than ${maxHosts} host entries`)
  return { hosts, notes }
}

function sectionsOf(text: string, file: string) {
  try {
    return parseIni(text)
  } catch (error) {
    if (error instanceof IniError) throw new UserError(`${shorten(file)}:${error.line}: ${error.message}`)
    throw error
  }
}

/** Or why there can be none. Keys are never shown. */
function hostEntry(name: string, values: ReadonlyMap<string, string>): DraftEntry | string {
  const notes: Note[] = []
  const host = values.get('host') ?? ''
  const key = values.get('key') ?? ''
  const tag = values.get('tag') ?? ''
  const old = values.get('old') ?? '0'
  if (oneLine(name) !== name) return 'its name has characters that cannot be typed'
  if (host === '') return 'it has no host'
  if (!/^(0|no|off|false|new)$/i.test(old))
    return 'it asks for the old format of knocks, which current servers do not accept'
  const wrong = unusable(tag || 'PKD0', key || 'x')
  if (wrong !== undefined) return wrong
  if (key === '') notes.push(caution('it has no key, which is asked for with each knock'))
  for (const option of values.keys()) {
    if (!known.includes(option))
      notes.push(caution(`left out: ${shorten(option)}: hosts of ipt_pkd have no such option`))
  }
  return {
    name,
    options: { host, ...(tag === '' ? {} : { tag }), ...portOption(values.get('port'), notes) },
    secrets: key === '' ? {} : { key },
    notes,
  }
}

function portOption(text: string | undefined, notes: Note[]): { port?: number } {
  // 0 is a random one, as without port.
  if (text === undefined || /^0+$/.test(text)) return {}
  try {
    return { port: parsePort(text) }
  } catch {
    notes.push(
      caution(`left out: port = ${shorten(text)}: it is not a port from 1 to 65535, and a random one is taken`),
    )
    return {}
  }
}
