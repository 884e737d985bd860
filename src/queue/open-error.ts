/** Why a queue cannot be opened, in words for a user: it is taken, a right is missing, or the kernel has no queues. */
import * as fs from 'node:fs'
import { QueueError } from './queue-error.js'
import { CallError } from './libraries.js'
import { queueOwner } from './statistics.js'

// asm-generic/errno-base.h, linux/capability.h
const errnoPerm = 1
const errnoBusy = 16
const netAdmin = 1n << 12n

function hasNetAdmin(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(fs.readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'
  return (BigInt(`0x${effective}`) & netAdmin) !== 0n
}

/** What the error of a library call says to a user: a QueueError, or the error itself when it is of another kind. */
export function explainOpenError(error: unknown, number: number): unknown {
  if (!(error instanceof CallError)) return error
  const { errno, operation, message } = error
  if (operation === 'nfq_create_queue' && (errno === errnoPerm || errno === errnoBusy)) {
    // The kernel says EPERM for both; the list of queues, which all users can read, distinguishes them.
    const owner = queueOwner(number)
    if (owner !== undefined) {
      return new QueueError(
        `queue ${number} is taken by ${owner}`,
        'choose another number with queue: number, or stop that program',
        { cause: error },
      )
    }
    if (hasNetAdmin()) {
      // Who is not root may not look at the list.
      return new QueueError(
        `queue ${number} is taken`,
        'as root, cat /proc/net/netfilter/nfnetlink_queue shows queues',
        {
          cause: error,
        },
      )
    }
    return new QueueError(`no right to use queue ${number}`, 'run as root, or with the capability CAP_NET_ADMIN', {
      cause: error,
    })
  }
  return new QueueError(`queue ${number} cannot be used: ${message}`, 'does the kernel have nfnetlink_queue?', {
    cause: error,
  })
}
