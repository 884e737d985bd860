/** Commands of users without rights to the ruleset: the daemon does for them what its configuration lets them ask. */
import { askDaemon, RefusedByDaemon } from '../../daemon/control-client.js'
import type { Message } from '../../daemon/requests.js'
import { NftError } from '../../nft/nft-errors.js'
import { UserError } from '../../util/index.js'
import { whoAsks } from './who-asks.js'

/** `work`, or where the rights for it are missing, the daemon's answer to `message`. */
export async function kernelOrDaemon<T>(socket: string, message: Message, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof NftError) || !lacksRights(error)) throw error
    const isChange = message.request === 'add' || message.request === 'delete'
    const signed = isChange ? { ...message, by: await whoAsks() } : message
    const answer = await askDaemon(socket, signed).catch((cause: unknown) => {
      const { code } = cause as NodeJS.ErrnoException
      const why = code === 'EACCES' ? `there is no right to ask at ${socket}` : `no daemon answers at ${socket}`
      const hint =
        'run as root, or with the capability CAP_NET_ADMIN, or join the group set as socket: group, if there is one'
      throw new UserError(`no right to the ruleset, and pkctld cannot be asked: ${why}`, hint)
    })
    if (!answer.ok) throw new RefusedByDaemon(answer.problems)
    return answer.result as T
  }
}

// Users other than root often have no sbin in their PATH, and so find no nft.
const lacksRights = ({ kind }: NftError) =>
  kind === 'permission' || (kind === 'missing-tool' && process.geteuid?.() !== 0)
