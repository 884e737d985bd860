/** The requests that the daemon takes over its sockets, validated as strictly as the arguments of a command. */
import { maxWindowSeconds } from '../config/service-rules.js'
import type { GroupRequest } from '../config/types.js'
import { groupRequests } from '../config/types.js'
import { namePattern } from '../config/values.js'
import type { RevokedUser } from '../controller/index.js'
import type { IpFamily } from '../net/index.js'
import { parseGranted } from '../net/index.js'
import type { TransactionRequest } from '../nft/index.js'
import { checkedNote, isOwnCommand } from '../nft/index.js'
import { oneLine, ValueError } from '../util/index.js'
import type { ChangeRecord } from './change-record.js'
import { changeIn } from './change-record.js'
import type { Declared } from './declared.js'
import { declaredIn } from './declared.js'

interface GrantRequest {
  readonly service: string
  readonly version: IpFamily
  /** Or a prefix. */
  readonly address: string
}

/**
 * `revoke`: the grants of a user whose keys were removed from the files, or of all who knock by a credential. `refresh`: a command has created, changed or removed services. `note`: what a command did, for the log. `whose`: who is behind the grants by knock. `transaction`: a change
 * of the table, which the daemon owns.
 */
export type Request =
  | { readonly request: 'status' | 'list' | 'whose' | 'refresh' | 'fleet' }
  | (Signed & { readonly request: 'reload' })
  | (Signed & Shared & GrantRequest & AddRequest)
  | (Signed & Shared & GrantRequest & { readonly request: 'delete' })
  | (Signed & { readonly request: 'revoke' } & RevokedUser)
  | { readonly request: 'note'; readonly what: string; readonly by: Declared; readonly change: ChangeRecord }
  | TransactionRequest

interface AddRequest {
  readonly request: 'add'
  readonly seconds: number | null
  /** A grant by hand that ends later stays. */
  readonly keepLonger?: boolean
  /** Why. */
  readonly note?: string
}

/** What changes something says who asks; scripts, and earlier releases, may leave it out. */
interface Signed {
  readonly by?: Declared
}

/** The other servers of the fleet are told, be the service shared or not, and it is waited for. */
interface Shared {
  readonly fleet?: true
}

const signed: readonly Request['request'][] = ['reload', 'add', 'delete', 'revoke']

const keysOf: Readonly<Record<Request['request'], readonly string[]>> = {
  status: [],
  list: [],
  whose: [],
  reload: [],
  refresh: [],
  fleet: [],
  add: ['service', 'address', 'seconds'],
  delete: ['service', 'address'],
  revoke: ['user', 'keys', 'credential'],
  note: ['what', 'by', 'change'],
  transaction: ['how', 'ruleset', 'commands'],
}

/** As it goes over the socket. */
export interface Message {
  readonly request: Request['request']
  readonly service?: string
  readonly address?: string
  /** null: without a time limit. */
  readonly seconds?: number | null
  readonly keepLonger?: boolean
  readonly note?: string
  readonly fleet?: true
  /** Whose grants: a name, fingerprints, and of which credential; null for all. */
  readonly user?: string | null
  readonly keys?: readonly string[]
  readonly credential?: string | null
  /** What a command did, and who ran it. */
  readonly what?: string
  readonly by?: Declared
  readonly change?: ChangeRecord
}

/** Throws a ValueError for anything that is not a request. */
export function readRequest(message: unknown): Request {
  if (typeof message !== 'object' || message === null) throw new ValueError('unknown request')
  const { request: name, ...rest } = message as Record<string, unknown>
  const request = (Object.keys(keysOf) as Request['request'][]).find(known => known === name)
  if (request === undefined) throw new ValueError('unknown request')
  const said = {
    ...(signed.includes(request) ? signedIn(rest) : {}),
    ...(request === 'add' ? { ...keepLongerIn(rest), ...noteIn(rest) } : {}),
    ...(request === 'add' || request === 'delete' ? sharedIn(rest) : {}),
  }
  const keys = Object.keys(rest).filter(key => !(key in said))
  if (keys.sort().join() !== [...keysOf[request]].sort().join()) {
    throw new ValueError(`the request ${request} has ${keysOf[request].join(', ') || 'nothing more to say'}`)
  }
  switch (request) {
    case 'reload':
      return { request, ...said }
    case 'add':
      return { request, ...grantIn(rest), seconds: secondsIn(rest['seconds']), ...said }
    case 'delete':
      return { request, ...grantIn(rest), ...said }
    case 'revoke':
      return { request, ...userIn(rest), ...said }
    case 'note':
      return {
        request,
        what: textIn(rest['what']),
        by: declaredIn(rest['by']),
        change: changeIn(rest['change']),
      }
    case 'transaction':
      return { request, ...transactionIn(rest) }
    default:
      return { request }
  }
}

const signedIn = ({ by }: Record<string, unknown>): Signed => (by === undefined ? {} : { by: declaredIn(by) })

function sharedIn({ fleet }: Record<string, unknown>): Shared {
  if (fleet === undefined) return {}
  if (fleet !== true) throw new ValueError('expected true')
  return { fleet }
}

function keepLongerIn({ keepLonger }: Record<string, unknown>): Pick<AddRequest, 'keepLonger'> {
  if (keepLonger === undefined) return {}
  if (typeof keepLonger !== 'boolean') throw new ValueError('expected true or false')
  return { keepLonger }
}

const noteIn = ({ note }: Record<string, unknown>): Pick<AddRequest, 'note'> =>
  note === undefined ? {} : { note: checkedNote(textIn(note)) }

function grantIn({ service, address }: Record<string, unknown>): GrantRequest {
  if (typeof service !== 'string' || !namePattern.test(service)) throw new ValueError('expected the name of a service')
  if (typeof address !== 'string') throw new ValueError('expected an IPv4 or IPv6 address')
  const { version, source } = parseGranted(address)
  return { service, version, address: source }
}

const maxKeys = 1000

function userIn({ user, keys, credential }: Record<string, unknown>): RevokedUser {
  const isFingerprint = (key: unknown): key is string => typeof key === 'string' && /^SHA256:[\w+/]{43}$/.test(key)
  if (!Array.isArray(keys) || keys.length > maxKeys || !keys.every(isFingerprint))
    throw new ValueError(`expected fingerprints of keys, ${maxKeys} at most`)
  if (credential !== null && !(typeof credential === 'string' && namePattern.test(credential)))
    throw new ValueError('expected the name of a credential, or null')
  if (user === null && credential === null) throw new ValueError('expected a user, or a credential')
  return { user: user === null ? null : textIn(user), keys, credential }
}

function transactionIn({ how, ruleset, commands }: Record<string, unknown>): Omit<TransactionRequest, 'request'> {
  if (how !== 'apply' && how !== 'check') throw new ValueError('expected apply or check')
  if (typeof ruleset !== 'string') throw new ValueError('expected the number of a ruleset')
  if (!Array.isArray(commands) || commands.length === 0 || !commands.every(isOwnCommand))
    throw new ValueError('expected commands about the table inet pkctl')
  return { how, ruleset, commands }
}

const maxNoteLength = 1000

function textIn(value: unknown): string {
  if (typeof value === 'string' && value !== '' && value.length <= maxNoteLength) return oneLine(value)
  throw new ValueError(`expected text of at most ${maxNoteLength} characters`)
}

function secondsIn(value: unknown): number | null {
  if (value === null) return null
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= maxWindowSeconds) return value
  throw new ValueError(`expected seconds from 1 to ${maxWindowSeconds}, or null`)
}

/** Whether a group with these rights may make the request. What goes beyond this server, `share` alone can allow it. */
export const isOpenTo = (may: readonly GroupRequest[], request: Request): boolean => {
  const right = request.request === 'whose' ? 'list' : request.request
  return !('fleet' in request) && groupRequests.some(known => known === right && may.includes(known))
}
