/** Commands of users without rights to the ruleset: the daemon does for them what its configuration lets them ask. */
import { askDaemon, RefusedByDaemon } from '../../daemon/control-client.js'
import type { Message } from '../../daemon/requests.js'
import { NftError } from '../../nft/nft-errors.js'
import { reasonOf, UserError } from '../../util/index.js'
import { whoAsks } from './who-asks.js'

/** Longer than the daemon waits for the lock of the ruleset, and for nft after that. */
const patienceMilliseconds = 60_000

/** `work`, or where the rights for it are missing, the daemon's answer to `message`. */
export async function kernelOrDaemon<T>(
  socket: string,
  message: Message,
  work: () => Promise<T>,
  withinMilliseconds = patienceMilliseconds,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof NftError) || !lacksRights(error)) throw error
    const isChange = message.request === 'add' || message.request === 'delete'
    const signed = isChange ? { ...message, by: await whoAsks() } : message
    const answer = await askDaemon(socket, signed, withinMilliseconds).catch((cause: unknown) => {
      throw unanswered(socket, cause as NodeJS.ErrnoException)
    })
    if (!answer.ok) throw new RefusedByDaemon(answer.problems)
    return answer.result as T
  }
}

function unanswered(socket: string, cause: NodeJS.ErrnoException): UserError {
  const { code = '' } = cause
  const absent = ['ENOENT', 'ECONNREFUSED'].includes(code)
  if (!absent && code !== 'EACCES') {
    const why = `you may not read or change the ruleset, so pkctl asked pkctld at ${socket}, which did not answer: ${reasonOf(cause)}`
    return new UserError(why, 'pkctld may still do what you asked for: see pkctl list')
  }
  const why = absent ? `no daemon answers at ${socket}` : `you may not use the socket ${socket}`
  const hint =
    'run as root, or with the capability CAP_NET_ADMIN, or join the group set as socket: group, if there is one'
  return new UserError(`you may not read or change the ruleset, and pkctl cannot ask pkctld: ${why}`, hint)
}

// Users other than root often have no sbin in their PATH, and so find no nft.
const lacksRights = ({ kind }: NftError) =>
  kind === 'permission' || (kind === 'missing-tool' && process.geteuid?.() !== 0)
