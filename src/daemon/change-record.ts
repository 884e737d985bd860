/** What a person changed by a command: fields of the log, as they go over the socket. docs/json.md describes them. */
import { maxWindowSeconds } from '../config/service-rules.js'
import { oneLine, ValueError } from '../util/index.js'

const changeActions = [
  ...(['add', 'delete', 'revoke', 'init', 'remove', 'apply', 'close', 'confirm', 'rollback', 'reload'] as const),
  ...(['user-add', 'user-revoke', 'setup'] as const),
] as const

export interface ChangeRecord {
  readonly action: (typeof changeActions)[number]
  readonly service?: string
  readonly services?: readonly string[]
  /** An address, or a prefix. */
  readonly source?: string
  /** null: without a time limit. */
  readonly seconds?: number | null
  readonly credential?: string
  /** The name at an SSH key. */
  readonly user?: string
  /** Why, as the person said. */
  readonly note?: string
}

const longest = 256
const mostServices = 100

/** Throws a ValueError. */
export function changeIn(value: unknown): ChangeRecord {
  if (typeof value !== 'object' || value === null) throw new ValueError('expected a change')
  const { action, service, services, source, seconds, credential, user, note, ...rest } = value as Record<
    string,
    unknown
  >
  const known = changeActions.find(one => one === action)
  if (known === undefined || Object.keys(rest).length > 0) throw new ValueError('expected a change that is known')
  return {
    action: known,
    ...wordIn({ service }),
    ...(services === undefined ? {} : { services: servicesIn(services) }),
    ...wordIn({ source }),
    ...(seconds === undefined ? {} : { seconds: secondsIn(seconds) }),
    ...wordIn({ credential }),
    ...wordIn({ user }),
    ...wordIn({ note }),
  }
}

/** The one field, if it is there. */
function wordIn(field: Record<string, unknown>): Record<string, string> {
  const [name = ''] = Object.keys(field)
  const value = field[name]
  if (value === undefined) return {}
  if (typeof value !== 'string' || value.length > longest) throw new ValueError(`expected ${name} as a short text`)
  return { [name]: oneLine(value) }
}

function servicesIn(value: unknown): string[] {
  if (!Array.isArray(value)) throw new ValueError('expected a list of services')
  return value.slice(0, mostServices).map(name => wordIn({ name })['name'] ?? '')
}

function secondsIn(value: unknown): number | null {
  if (value === null) return null
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= maxWindowSeconds) return value
  throw new ValueError(`expected seconds from 1 to ${maxWindowSeconds}, or null`)
}
