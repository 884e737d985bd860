/**
 * Who asked for a change, for the log. The kernel says which user is at the other end of a socket; the rest is what the
 * command of that user says of itself.
 */
import type { LogFields } from '../controller/index.js'
import { execute, oneLine } from '../util/index.js'
import type { Declared } from './declared.js'
import { declaredName, placeText } from './declared.js'

/** How a request came. */
export interface Peer {
  /** `root` for root's own socket, `group NAME`, or the name of a signal. */
  readonly via: string
  /** Of the process that connected. */
  readonly uid?: number | undefined
}

export interface Asker {
  /** `root (sudo by ada)`, or `ada of group ops` */
  readonly name: string
  /** `root (sudo by ada) from 192.0.2.7` */
  readonly text: string
  readonly fields: LogFields
}

/** A member of a group may say anything of itself: its name is that of the user who connected. */
export async function askerOf({ via, uid }: Peer, by: Declared | undefined): Promise<Asker> {
  const isMember = via.startsWith('group ')
  const declared = isMember ? {} : sudoOf(by)
  const name = isMember ? `${await userName(uid)} of ${via}` : by ? declaredName(by) : via
  const known = uid ?? (isMember ? undefined : by?.uid)
  return {
    name,
    text: placeText(name, by),
    fields: {
      asker: isMember ? via : name,
      ...(known === undefined ? {} : { uid: known }),
      ...declared,
      ...(by?.from === undefined ? {} : { from: by.from }),
    },
  }
}

function sudoOf(by: Declared | undefined): LogFields {
  const { 'sudo-user': user, 'sudo-uid': uid } = by ?? {}
  return { ...(user === undefined ? {} : { 'sudo-user': user }), ...(uid === undefined ? {} : { 'sudo-uid': uid }) }
}

const lookupMilliseconds = 2000

async function userName(uid: number | undefined): Promise<string> {
  if (uid === undefined) return 'a member'
  const argv = ['passwd', String(uid)]
  const found = await execute('getent', argv, '', { milliseconds: lookupMilliseconds }).catch(() => undefined)
  const name = found?.status === 0 ? found.stdout.split(':')[0] : undefined
  return name === undefined || name === '' ? `user ${uid}` : oneLine(name)
}
