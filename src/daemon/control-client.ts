/** Asks the daemon over its control socket. */
import type { Answer, Problem } from '../util/index.js'
import { ask, UserError } from '../util/index.js'
import type { Message } from './requests.js'

/** The daemon answered that it does not do what it was asked for. */
export class RefusedByDaemon extends Error {
  override readonly name = 'RefusedByDaemon'

  constructor(readonly problems: readonly Problem[]) {
    super(problems.map(({ message }) => message).join('; '))
  }
}

/**
 * The socket of the configured group. Node does not tell which user is at the other end of a socket, so there are two
 * sockets, with the mode of each for its users and with the requests that these may make.
 */
export const groupSocketOf = (socketPath: string): string => `${socketPath}.group`

/** Asks the daemon at its own socket or, where that is not allowed, at the group's. */
export async function askDaemon(socketPath: string, message: Message, withinMilliseconds?: number): Promise<Answer> {
  try {
    return await ask(socketPath, message, withinMilliseconds)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error
    return ask(groupSocketOf(socketPath), message, withinMilliseconds).catch((cause: unknown) => {
      // Without a group there is no such socket; the problem is still the missing right to the first one.
      throw (cause as NodeJS.ErrnoException).code === 'ENOENT' ? error : cause
    })
  }
}

/** `askDaemon`, with errors that say what to do. */
export async function askOrExplain(socketPath: string, request: Message['request'] | Message): Promise<unknown> {
  let reply: Answer
  try {
    reply = await askDaemon(socketPath, typeof request === 'string' ? { request } : request)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ECONNREFUSED') {
      const hint = 'systemctl start pkctld; services in the kernel stay closed, and pkctl add still grants access'
      throw new UserError(`pkctld is not running: no daemon answers at ${socketPath}`, hint)
    }
    // A program that ends before it has read the request resets the connection.
    if (code === 'ECONNRESET' || code === 'EPIPE')
      throw new UserError(`pkctld at ${socketPath} ended before it answered`)
    if (code === 'EACCES')
      throw new UserError(
        `you may not use the socket of pkctld, ${socketPath}`,
        'run as root, or join the group set as socket: group',
      )
    throw new UserError(`pkctld at ${socketPath}: ${(error as Error).message}`)
  }
  if (!reply.ok) throw new RefusedByDaemon(reply.problems)
  return reply.result
}
