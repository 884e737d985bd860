/**
 * One daemon for each control socket, queue and state directory. A second one is refused before it opens or writes
 * anything: typed by root beside the service, it would replace the files of the service by its own.
 */
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import type { Config } from '../config/types.js'
import { QueueError } from '../queue/queue-error.js'
import { queueOwner } from '../queue/statistics.js'
import { makeOwnedDirectory, ownerHint, reasonOf, UserError } from '../util/index.js'
import { refuseOtherDaemon } from './control-socket.js'

const lockMilliseconds = 5_000
/** Of flock(1), when another process has the lock. */
const isLocked = 1

/** Throws a UserError or a QueueError when there is another daemon. The result gives the state directory back. */
export async function claimState({ socket, queue, stateDirectory }: Config): Promise<() => void> {
  await refuseOtherDaemon(socket.path)
  const owner = queueOwner(queue.number)
  if (owner !== undefined) {
    const hint = 'choose another number with queue: number, or stop that program'
    throw new QueueError(`queue ${queue.number} is taken by ${owner}`, hint)
  }
  return lockDirectory(stateDirectory)
}

/** Locks the directory itself (flock(2)), so that no file is made before the lock. The kernel frees it however we end. */
export function lockDirectory(directory: string): () => void {
  const descriptor = openDirectory(directory)
  const release = () => {
    fs.closeSync(descriptor)
  }
  const { status, error, stderr } = spawnSync('flock', ['--nonblock', '3'], {
    stdio: ['ignore', 'ignore', 'pipe', descriptor],
    encoding: 'utf8',
    timeout: lockMilliseconds,
    // A program that is stopped takes no other signal.
    killSignal: 'SIGKILL',
  })
  if (status === 0) return release
  release()
  if (status === isLocked) {
    const hint = 'systemctl stop pkctld ends the service; a second daemon needs a state-directory of its own'
    throw new UserError(`another pkctld uses the state directory ${directory}`, hint)
  }
  if ((error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT')
    throw new UserError('there is no flock program', 'install the package util-linux')
  throw new UserError(`the state directory ${directory} cannot be locked: ${error?.message ?? stderr.trim()}`)
}

function openDirectory(directory: string): number {
  try {
    makeOwnedDirectory(directory)
    return fs.openSync(directory, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)
  } catch (error) {
    throw new UserError(`the state directory ${directory} cannot be used: ${reasonOf(error)}`, ownerHint(error))
  }
}
