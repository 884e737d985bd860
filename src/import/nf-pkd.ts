/** The action files of nf-pkd: a credential for each tag and key, and a service for each protocol and port. */
import { maxWindowSeconds } from '../config/service-rules.js'
import { maxSkewSeconds } from '../config/values.js'
import { parsePort } from '../net/index.js'
import { UserError } from '../util/index.js'
import { Draft } from './draft.js'
import type { ImportResult, OpenedPorts, Reject, TriggerDraft, Window } from './draft-entries.js'
import type { Note } from './notes.js'
import { caution, remark, rightsOfCommands, shorten } from './notes.js'
import type { PkdRule } from './pkd-credentials.js'
import { addPkdRules, unusable } from './pkd-credentials.js'
import type { FlatObject } from './relaxed-json.js'
import { readRelaxedJson, RelaxedJsonError } from './relaxed-json.js'
import type { PortProtocol } from './service-ports.js'
import { literalWords } from './shell-words.js'

export interface ActionFile {
  readonly file: string
  readonly text: string
}

const commandKeys = ['ext-command', 'ext-action', 'action']
const keys = ['name', 'key', 'tag', 'skew', 'window', 'reject', 'protocol', 'port', 'ext-user', 'obo', ...commandKeys]

export function importNfPkd(files: readonly ActionFile[]): ImportResult {
  const draft = new Draft()
  const rules = files.flatMap(({ file, text }) =>
    objectsOf(file, text, draft).flatMap(object => {
      const origin = `${file}:${object.line}`
      const rule = ruleOf(object, origin)
      if (typeof rule !== 'string') return [rule]
      draft.caution(`left out: the rule at ${shorten(origin)}: ${rule}`)
      return []
    }),
  )
  if (rules.some(({ onOpen }) => onOpen)) draft.remark(rightsOfCommands)
  addPkdRules(draft, rules)
  return draft.finish()
}

function objectsOf(file: string, text: string, draft: Draft): readonly FlatObject[] {
  try {
    const { objects, liberties } = readRelaxedJson(text)
    if (liberties.length > 0)
      draft.caution(`${shorten(file)} is not JSON, and was read all the same: ${liberties.join('; ')}`)
    return objects
  } catch (error) {
    if (!(error instanceof RelaxedJsonError)) throw error
    throw new UserError(`${shorten(file)}:${error.line}: ${error.message}`, error.hint)
  }
}

/** Or why there can be none. Keys are never shown. */
function ruleOf(object: FlatObject, origin: string): PkdRule | string {
  const notes: Note[] = []
  const text = (key: string, otherwise: string) => {
    const found = object.values.get(key)
    if (found === undefined || found.value === null) return otherwise
    // A key of digits without quotes is meant as it is written.
    return typeof found.value === 'string' ? found.value : found.raw
  }
  let last = ''
  for (const key of object.values.keys()) {
    if (keys.includes(key)) last = key
    // A comma in a key without quotes would make a key of what comes after it.
    else if (last === 'key') notes.push(caution('left out: what comes after the key: nf-pkd has no such key'))
    else notes.push(caution(`left out: ${shorten(key)}: nf-pkd has no such key`))
  }
  const key = text('key', '')
  const tag = text('tag', 'PKD0')
  const wrong = unusable(tag, key)
  if (wrong !== undefined) return wrong
  const opens = openingsOf(text, notes)
  if (typeof opens === 'string') return opens
  const onOpen = triggerOf(text, notes)
  if (opens.length === 0 && !onOpen) return 'it has neither a port nor a command'
  if (!['', 'false', '0'].includes(text('obo', ''))) {
    notes.push(caution('left out: obo: name who may be asked for with obo-prefixes, and add obo: true'))
  }
  return {
    name: text('name', '') || nameFrom(origin),
    tag,
    key,
    skew: skewOf(text('skew', '10'), notes),
    opens,
    onOpen,
    notes,
  }
}

const nameFrom = (origin: string) => origin.replace(/^.*\//s, '').replace(/\.json:(\d+)$/, '-$1')

type Text = (key: string, otherwise: string) => string

function skewOf(text: string, notes: Note[]): number {
  const given = Number(text)
  if (!Number.isSafeInteger(given)) {
    notes.push(caution(`skew ${shorten(text)} is no number of seconds; it is 10 here`))
    return 10
  }
  if (given === -1) return -1
  // What nf-pkd makes of them.
  if (given <= 0) return 10
  if (given > maxSkewSeconds) notes.push(caution(`skew ${given} is more than a day, which is the most here`))
  return Math.min(given, maxSkewSeconds)
}

function openingsOf(text: Text, notes: Note[]): OpenedPorts[] | string {
  if (text('port', '') === '') return []
  let port: number
  try {
    port = parsePort(text('port', ''))
  } catch {
    return `its port ${shorten(text('port', ''))} is not a port from 1 to 65535`
  }
  const protocol = text('protocol', 'any').toLowerCase()
  const protocols = Object.hasOwn(protocolsOf, protocol) ? protocolsOf[protocol] : undefined
  if (protocols === undefined) return `its protocol ${shorten(protocol)} is none of any, tcp, udp`
  if (protocol === 'any') {
    notes.push(remark('any protocol: a service for TCP, whose connections then outlive the window, and one for UDP'))
  }
  const window = periodOf(text('window', ''), notes)
  const reject = rejectOf(text('reject', 'drop'), notes)
  const ports = [{ first: port, last: port }]
  return protocols.map(each => ({
    protocol: each,
    ports,
    window,
    reject: reject === 'reset' && each !== 'tcp' ? 'icmp' : reject,
  }))
}

const protocolsOf: Readonly<Record<string, readonly PortProtocol[]>> = {
  any: ['tcp', 'udp'],
  tcp: ['tcp'],
  udp: ['udp'],
  sctp: ['sctp'],
}

function periodOf(text: string, notes: Note[]): Window {
  const seconds = Number(text)
  if (text !== '' && Number.isSafeInteger(seconds) && seconds >= 1) {
    if (seconds > maxWindowSeconds) notes.push(caution(`window ${seconds} is more than a year, which is the most here`))
    return Math.min(seconds, maxWindowSeconds)
  }
  notes.push(
    caution(text === '' ? 'it has no window; it is 60 s here' : `window ${shorten(text)} is no time; it is 60 s here`),
  )
  return 60
}

function rejectOf(text: string, notes: Note[]): Reject {
  if (text === 'drop' || text === 'reset' || text === 'icmp') return text
  notes.push(caution(`reject ${shorten(text)} is neither drop nor reset; it is drop here`))
  return 'drop'
}

function triggerOf(text: Text, notes: Note[]): TriggerDraft | undefined {
  const given = commandKeys.filter(key => text(key, '') !== '')
  const [first] = given
  if (first === undefined) return undefined
  if (given.length > 1) notes.push(caution(`left out: ${given.slice(1).join(', ')}, beside ${first}`))
  const line = text(first, '')
  const user = text('ext-user', '')
  const leave = (why: string): undefined => {
    notes.push(caution(`left out: ${first}: ${why}`))
    return undefined
  }
  if (line.includes('\0')) return void leave('it has a zero byte in it')
  if (user !== '' && !/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$/.test(user)) {
    return void leave(`${shorten(user)} is no name of a user, and without one, it would run as that of the daemon`)
  }
  notes.push(remark(`nf-pkd never ran ${first}; pkctld does, ${user === '' ? 'as its own user' : 'as that user'}`))
  const words = literalWords(line)
  const command = words?.[0]?.startsWith('/') ? { command: words } : { shell: line }
  return user === '' ? command : { ...command, user }
}
