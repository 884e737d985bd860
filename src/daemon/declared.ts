/** What a command says of who ran it, as it goes over the socket: true of root, who may write the log as well. */
import { oneLine, ValueError } from '../util/index.js'

export interface Declared {
  readonly user: string
  readonly uid: number
  /** Who became this user by sudo. */
  readonly 'sudo-user'?: string
  readonly 'sudo-uid'?: number
  /** The address of the ssh session, or the terminal. */
  readonly from?: string
}

/** `root (sudo by ada)` */
export const declaredName = ({ user, 'sudo-user': before }: Declared): string =>
  before === undefined ? user : `${user} (sudo by ${before})`

/** `root (sudo by ada) from 192.0.2.7`; which terminal of this machine it was, the fields say. */
export const placeText = (name: string, { from = '/' }: Pick<Declared, 'from'> = {}): string =>
  from.startsWith('/') ? name : `${name} from ${from}`

const longest = 64

/** Throws a ValueError. */
export function declaredIn(value: unknown): Declared {
  if (typeof value !== 'object' || value === null) throw new ValueError('expected who asks')
  const { user, uid, 'sudo-user': sudoUser, 'sudo-uid': sudoUid, from, ...rest } = value as Record<string, unknown>
  if (Object.keys(rest).length > 0) throw new ValueError('expected who asks, and nothing else')
  return {
    user: wordIn(user),
    uid: uidIn(uid),
    ...(sudoUser === undefined ? {} : { 'sudo-user': wordIn(sudoUser) }),
    ...(sudoUid === undefined ? {} : { 'sudo-uid': uidIn(sudoUid) }),
    ...(from === undefined ? {} : { from: wordIn(from) }),
  }
}

function wordIn(value: unknown): string {
  if (typeof value === 'string' && value !== '' && value.length <= longest) return oneLine(value)
  throw new ValueError(`expected a name of at most ${longest} characters`)
}

function uidIn(value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 32) return value
  throw new ValueError('expected the number of a user')
}
