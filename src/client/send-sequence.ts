/** The client's side of a sequence: one TCP SYN or empty datagram after the other. */
import * as net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Step } from '../knock/index.js'
import { protocolUdp } from '../net/index.js'
import { shown, ValueError } from '../util/index.js'
import type { Address } from './send.js'
import { connectionTo, NotSent, sendDatagram } from './send.js'

/** How fast a sequence goes, in milliseconds. */
interface Pace {
  /** From one knock to the next, and after the last. */
  readonly pauseMs: number
  /** How long a TCP knock may wait for its answer, whichever that is, before it is given up. */
  readonly answerMs: number
}

/** At most 99999. */
export function parseMilliseconds(text: string): number {
  if (/^\d{1,5}$/.test(text)) return Number(text)
  throw new ValueError(`expected milliseconds such as 20, got ${shown(text)}`)
}

/**
 * Knocks at the ports of one address in their order. No answer is needed. Fails with `NotSent`, or with the signal's
 * reason before the next knock; a sequence whose last knock is made has not failed.
 */
export async function knockSteps(
  address: Address,
  steps: readonly Step[],
  { pauseMs, answerMs }: Pace,
  signal?: AbortSignal,
): Promise<void> {
  for (const [i, { protocol, port }] of steps.entries()) {
    signal?.throwIfAborted()
    if (protocol === protocolUdp) await sendDatagram(address, port, Buffer.alloc(0))
    else await startConnection(address, port, answerMs)
    await sleep(pauseMs, undefined, signal && i < steps.length - 1 ? { signal } : {})
  }
}

/** Errors that mean that nothing was sent; any other error is an answer from the network, and as good as none. */
const unsent = new Set(['ENETUNREACH', 'EACCES', 'EADDRNOTAVAIL', 'EPERM', 'EINVAL'])

function startConnection(target: Address, port: number, answerMs: number): Promise<void> {
  return new Promise((done, fail) => {
    const socket = net.connect(connectionTo(target, port))
    let timer: NodeJS.Timeout | undefined
    const end = () => {
      clearTimeout(timer)
      socket.destroy()
      done()
    }
    socket.on('connect', end)
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (unsent.has(error.code ?? '')) fail(new NotSent(target, error))
      end()
    })
    if (answerMs > 0) timer = setTimeout(end, answerMs)
    // The SYN is out as soon as the system has been called, which it has by the next turn of the loop.
    else setImmediate(() => setImmediate(end))
  })
}
