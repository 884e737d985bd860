/**
 * One stanza of fwknop's access.conf: a credential, or why there is none. What pkctl cannot do either changes nothing of
 * what a packet opens, and is a note; or it limits what the stanza opens or makes it do something else, and then the stanza
 * is left out, so that nothing opens that did not.
 */
import { maxWindowSeconds } from '../config/service-rules.js'
import { parseFwknopKey, parseInstant } from '../config/values.js'
import { hmacNames, isUserName, maxFwknopHmacKey, maxFwknopKey } from '../knock/index.js'
import { parsePort } from '../net/index.js'
import { ValueError } from '../util/index.js'
import type { Stanza } from './fwknop-file.js'
import { leftOut, saysYes } from './fwknop-file.js'
import type { Note } from './notes.js'
import { caution, remark, shorten } from './notes.js'
import type { PortProtocol } from './service-ports.js'

export interface Port {
  readonly protocol: PortProtocol
  readonly port: number
}

/** What a stanza opens, and for which packets. */
export interface StanzaAccess {
  readonly line: number
  /** The name of the only user that counts. */
  readonly user: string | undefined
  readonly options: Readonly<Record<string, unknown>>
  readonly secrets: Readonly<Record<'key' | 'hmac-key', string>>
  /** Undefined for every port that a packet asks for. */
  readonly ports: readonly Port[] | undefined
  /** Ports that are never opened. */
  readonly except: readonly Port[]
  readonly window: number
  readonly isEnabled: boolean
  readonly notes: readonly Note[]
}

/** Why a stanza is left out; messages never show a key. */
class StanzaLeftOut extends Error {}

const defaultWindow = 30
const defaultLongest = 300
const placeholder = '__CHANGEME__'

const commandKeywords = [
  'ENABLE_CMD_EXEC',
  'CMD_EXEC_USER',
  'CMD_EXEC_GROUP',
  'ENABLE_CMD_SUDO_EXEC',
  'CMD_SUDO_EXEC_USER',
  'CMD_SUDO_EXEC_GROUP',
  'SUDO_EXE',
]
const cycleKeywords = ['CMD_CYCLE_OPEN', 'CMD_CYCLE_CLOSE', 'CMD_CYCLE_TIMER']
const natKeywords = ['FORCE_SNAT', 'FORCE_MASQUERADE', 'DISABLE_DNAT']
const known = [
  ...['SOURCE', 'DESTINATION', 'OPEN_PORTS', 'RESTRICT_PORTS', 'KEY', 'KEY_BASE64', 'HMAC_KEY', 'HMAC_KEY_BASE64'],
  ...['HMAC_DIGEST_TYPE', 'ENCRYPTION_MODE', 'FW_ACCESS_TIMEOUT', 'MAX_FW_TIMEOUT', 'REQUIRE_USERNAME'],
  ...['REQUIRE_SOURCE_ADDRESS', 'REQUIRE_SOURCE', 'ACCESS_EXPIRE', 'ACCESS_EXPIRE_EPOCH', 'FORCE_NAT', 'FORWARD_ALL'],
  ...[...commandKeywords, ...cycleKeywords, ...natKeywords],
]

/** The access, or why there is none. */
export function accessOf(stanza: Stanza): StanzaAccess | string {
  try {
    return readAccess(stanza)
  } catch (error) {
    if (error instanceof StanzaLeftOut) return error.message
    throw error
  }
}

function readAccess({ line, values, ambiguous, directives }: Stanza): StanzaAccess {
  const [twice] = ambiguous
  if (twice !== undefined) throw new StanzaLeftOut(`it has ${shorten(twice)} twice, with different values`)
  const [directive] = directives
  if (directive !== undefined)
    throw new StanzaLeftOut(`it has ${shorten(directive)}: write what is in that file into it`)
  checkKeywords(values)
  const notes: Note[] = []
  const keys = readKeys(values)
  const options = {
    type: 'fwknop',
    ...digestIn(values),
    ...longestIn(values, notes),
    ...userIn(values),
    ...(saysNothingOrNo(values) ? {} : { 'require-source-address': true }),
    ...expiryIn(values, notes),
  }
  const ports = portsIn(values, 'OPEN_PORTS', notes)
  if (ports?.length === 0) throw new StanzaLeftOut('none of its OPEN_PORTS can be opened')
  const except = portsIn(values, 'RESTRICT_PORTS', notes) ?? []
  const window = secondsIn(values, 'FW_ACCESS_TIMEOUT', defaultWindow, notes)
  const isEnabled = checkWhere(values, notes)
  notes.push(...leftOut(values, commandKeywords.filter(isNotNo(values)), 'packets with commands are refused'))
  notes.push(...leftOut(values, natKeywords.filter(isNotNo(values)), 'packets that ask for NAT are refused'))
  const gpg = [...values.keys()].filter(keyword => keyword.startsWith('GPG_'))
  notes.push(...leftOut(values, gpg, 'packets of GnuPG are not taken, those with its KEY are'))
  return { line, user: values.get('REQUIRE_USERNAME'), options, secrets: keys, ports, except, window, isEnabled, notes }
}

function checkKeywords(values: ReadonlyMap<string, string>): void {
  for (const keyword of values.keys()) {
    if (known.includes(keyword) || keyword.startsWith('GPG_')) continue
    throw new StanzaLeftOut(`${shorten(keyword)} is no option of fwknop that is known here, and may be a limit`)
  }
  const forwards = values.has('FORCE_NAT') ? 'FORCE_NAT' : saysYes(values, 'FORWARD_ALL') ? 'FORWARD_ALL' : undefined
  if (forwards !== undefined)
    throw new StanzaLeftOut(`it forwards to other machines (${forwards}), and pkctl opens ports of this machine alone`)
  if (values.has('CMD_CYCLE_OPEN'))
    throw new StanzaLeftOut(
      'it runs a command and opens no port (CMD_CYCLE_OPEN): give a credential on-open and on-expiry',
    )
  const mode = values.get('ENCRYPTION_MODE') ?? 'CBC'
  if (!/^cbc$/i.test(mode))
    throw new StanzaLeftOut(
      `its packets have ENCRYPTION_MODE ${shorten(mode)}, and pkctl takes those in CBC mode alone`,
    )
}

function readKeys(values: ReadonlyMap<string, string>): StanzaAccess['secrets'] {
  const key = keyIn(values, 'KEY', maxFwknopKey)
  if (key === undefined) {
    const isGpg = [...values.keys()].some(keyword => keyword.startsWith('GPG_'))
    throw new StanzaLeftOut(isGpg ? 'its packets are made by GnuPG, and it has no KEY' : 'it has no KEY')
  }
  const hmacKey = keyIn(values, 'HMAC_KEY', maxFwknopHmacKey)
  if (hmacKey !== undefined) return { key, 'hmac-key': hmacKey }
  throw new StanzaLeftOut(
    'it has no HMAC_KEY; without an HMAC, a captured packet can be rewritten so that it does not look like a replay: make keys with fwknop --key-gen',
  )
}

/** As a credential has it; undefined for none. */
function keyIn(values: ReadonlyMap<string, string>, keyword: string, most: number): string | undefined {
  const [text, base64] = [values.get(keyword), values.get(`${keyword}_BASE64`)]
  if (text !== undefined && base64 !== undefined) throw new StanzaLeftOut(`it has ${keyword} and ${keyword}_BASE64`)
  if (text === undefined && base64 === undefined) return undefined
  if ((text ?? base64) === placeholder) throw new StanzaLeftOut(`its ${keyword} is ${placeholder}, which is no key`)
  const key = text === undefined ? `base64:${base64 ?? ''}` : literal(text)
  try {
    parseFwknopKey(key, most)
    return key
  } catch (error) {
    if (error instanceof ValueError) throw new StanzaLeftOut(`${keyword}: ${error.message}`)
    throw error
  }
}

/** Text that means itself, also where it looks like hex or base64, or has control characters. */
const literal = (text: string) =>
  /^(?:0x|base64:)|\p{C}/iu.test(text) ? `0x${Buffer.from(text, 'utf8').toString('hex')}` : text

function digestIn(values: ReadonlyMap<string, string>): { hmac?: string } {
  const text = values.get('HMAC_DIGEST_TYPE') ?? 'SHA256'
  const name = hmacNames.find(each => each.replace('-', '_') === text.toLowerCase())
  if (name === undefined) throw new StanzaLeftOut(`HMAC_DIGEST_TYPE: digest ${shorten(text)} is not supported`)
  return name === 'sha256' ? {} : { hmac: name }
}

function longestIn(values: ReadonlyMap<string, string>, notes: Note[]): { 'max-window'?: number } {
  const seconds = secondsIn(values, 'MAX_FW_TIMEOUT', defaultLongest, notes)
  return seconds === defaultLongest ? {} : { 'max-window': seconds }
}

function secondsIn(values: ReadonlyMap<string, string>, keyword: string, otherwise: number, notes: Note[]): number {
  const text = values.get(keyword)
  if (text === undefined) return otherwise
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (seconds >= 1 && seconds <= maxWindowSeconds) return seconds
  notes.push(caution(`${keyword} ${shorten(text)} is no time from 1 second to a year; it is ${otherwise} s here`))
  return otherwise
}

function userIn(values: ReadonlyMap<string, string>): { user?: string } {
  const user = values.get('REQUIRE_USERNAME')
  if (user === undefined) return {}
  if (!isUserName(user)) throw new StanzaLeftOut(`REQUIRE_USERNAME ${shorten(user)} is no name that a client can send`)
  return { user }
}

/** Everything but N is a limit. */
const saysNothingOrNo = (values: ReadonlyMap<string, string>) =>
  ['REQUIRE_SOURCE_ADDRESS', 'REQUIRE_SOURCE'].every(keyword => /^(?:n.*)?$/i.test(values.get(keyword) ?? ''))

const isNotNo = (values: ReadonlyMap<string, string>) => (keyword: string) =>
  !/^n(?:o)?$/i.test(values.get(keyword) ?? '')

function expiryIn(values: ReadonlyMap<string, string>, notes: Note[]): { expires?: string } {
  const [date, epoch] = [values.get('ACCESS_EXPIRE'), values.get('ACCESS_EXPIRE_EPOCH')]
  if (date !== undefined && epoch !== undefined) throw new StanzaLeftOut('it has ACCESS_EXPIRE and ACCESS_EXPIRE_EPOCH')
  if (date === undefined && epoch === undefined) return {}
  const expires = date === undefined ? ofEpoch(epoch ?? '') : ofDate(date)
  try {
    parseInstant(expires)
  } catch (error) {
    if (error instanceof ValueError)
      throw new StanzaLeftOut(`${shorten(date ?? epoch ?? '')} is no time at which it expires`)
    throw error
  }
  if (date !== undefined) notes.push(remark('its day of expiry begins in UTC here, and in local time there'))
  return { expires }
}

/** From MM/DD/YYYY. */
function ofDate(text: string): string {
  const [, month = '', day = '', year = ''] = /^(\d{1,2})\/(\d{1,2})\/(\d{4})$/.exec(text) ?? []
  return `${year}-${month.padStart(2, '0')}-${day.padStart(2, '0')}`
}

function ofEpoch(text: string): string {
  const lastOfYear9999 = 253_402_300_799
  if (!/^\d{1,12}$/.test(text) || Number(text) > lastOfYear9999) return ''
  return new Date(Number(text) * 1000).toISOString().replace('.000Z', 'Z')
}

/** The list of a keyword, such as tcp/22,udp/1194; undefined for none. */
function portsIn(values: ReadonlyMap<string, string>, keyword: string, notes: Note[]): Port[] | undefined {
  const text = values.get(keyword)
  if (text === undefined) return undefined
  const ports = new Map<string, Port>()
  for (const item of text.split(',').map(each => each.trim())) {
    const port = portIn(item)
    if (port) ports.set(`${port.port}/${port.protocol}`, port)
    // A limit that cannot be read is one all the same.
    else if (keyword === 'RESTRICT_PORTS')
      throw new StanzaLeftOut(`${keyword} ${shorten(item)} is no port such as tcp/22`)
    else notes.push(caution(`left out: ${keyword} ${shorten(item)}: it is no port such as tcp/22`))
  }
  return [...ports.values()]
}

function portIn(text: string): Port | undefined {
  const [, protocol = '', digits = ''] = /^(tcp|udp)\/(\d{1,5})$/i.exec(text) ?? []
  try {
    return { protocol: protocol.toLowerCase() as PortProtocol, port: parsePort(digits) }
  } catch {
    return undefined
  }
}

const isAnywhere = (text: string) => /^(?:any|0\.0\.0\.0\/0)$/i.test(text)

/** Whether packets count as they did; they must not from more addresses than there. */
function checkWhere(values: ReadonlyMap<string, string>, notes: Note[]): boolean {
  const [source, destination] = [values.get('SOURCE') ?? '', values.get('DESTINATION') ?? 'ANY']
  if (!isAnywhere(destination)) {
    const all = 'here packets to all addresses of this machine count'
    notes.push(caution(`left out: DESTINATION ${shorten(destination)}: ${all}`))
  }
  if (isAnywhere(source)) return true
  const off = 'here packets from all addresses would count, so that it is off; to accept that, remove enabled: false'
  notes.push(caution(`SOURCE ${shorten(source)}: ${off}`))
  return false
}
