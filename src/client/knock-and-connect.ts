/**
 * A TCP connection through a port that a knock opens. Knock and connection go out together; the kernel repeats a SYN that
 * was lost, after a second for the first time, and just before that the knock is sent again, in case it was lost as well.
 * Where a refusal comes back instead, the connection is tried again after a pause.
 *
 * A SYN in the middle of a sequence resets it, also one that the kernel repeats. So while a sequence is knocked, nothing
 * else goes to the server: the first connection is given up before its sequence is knocked again.
 *
 * A name with addresses of both versions of IP is tried at the first, and a little later at the other as well; the
 * first that answers is taken (RFC 8305). No second connection is made while one is in progress: services with
 * `single-use` let one in, and sshd counts those that say nothing.
 */
import * as net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { UserError } from '../util/index.js'
import { closedHint, connectErrorText, elapsedText, noAnswerText } from './connect-errors.js'
import type { KnockMethod } from './knock-method.js'
import type { Address } from './send.js'
import { connectionTo, NotSent } from './send.js'

const knockAgainAfterMs = 900
const refusedPauseMs = 250
const otherFamilyAfterMs = 250

/**
 * Resolves to a connection that is open both ways and not read from yet. Fails when all that was begun has ended, also
 * after the signal, with which it ends early.
 */
export async function knockAndConnect(
  method: KnockMethod,
  port: number,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<net.Socket> {
  const started = process.hrtime.bigint()
  const settled = new AbortController()
  const onSignal = () => settled.abort(signal?.reason)
  if (signal?.aborted) onSignal()
  signal?.addEventListener('abort', onSignal)
  let turn: Promise<unknown> = Promise.resolve()
  const attempts = method.addresses.map(address => {
    const attempt = new ConnectionAttempt(address, port, method, timeoutMs, settled)
    const connection = turn.then(() => attempt.run())
    turn = attempt.next
    return connection
  })
  try {
    return await Promise.any(attempts)
  } catch (error) {
    throw explained((error as AggregateError).errors as Error[], method, port, started)
  } finally {
    signal?.removeEventListener('abort', onSignal)
  }
}

function explained(failures: readonly Error[], { kind }: KnockMethod, port: number, started: bigint): UserError {
  // The knock could not be made: nothing was tried.
  const unmade = failures.find(error => error instanceof UserError)
  if (unmade) return unmade
  const why = failures.map(({ message }) => message).join('; ')
  if (failures.every(error => error instanceof NotSent)) return new UserError(why, 'is there a route to it?')
  return new UserError(`port ${port}/tcp is not open after ${elapsedText(started)}: ${why}`, closedHint(why, kind))
}

/** Knocking and connecting at one address. */
class ConnectionAttempt {
  /** Resolves when another address may be tried as well: soon after the knock, or when there is trouble. */
  readonly next: Promise<void>
  #startNext: () => void = () => undefined
  #again: Promise<unknown> | undefined
  /** From the first knock on: a person may have to sign it. */
  #deadline = 0

  constructor(
    readonly address: Address,
    readonly port: number,
    readonly method: KnockMethod,
    readonly timeoutMs: number,
    /** Aborted by the attempt that has its connection: the others end. */
    readonly settled: AbortController,
  ) {
    this.next = new Promise(resolve => (this.#startNext = resolve))
  }

  async run(): Promise<net.Socket> {
    const { address, method, settled } = this
    let timers: NodeJS.Timeout[] = []
    try {
      settled.signal.throwIfAborted()
      await method.send(address, settled.signal)
      this.#deadline = Date.now() + this.timeoutMs
      timers = [setTimeout(this.#startNext, otherFamilyAfterMs)]
      if (method.kind !== 'sequence') timers.push(setTimeout(() => void this.#knockAgain(), knockAgainAfterMs))
      return await this.#connectUntilDeadline()
    } finally {
      for (const timer of timers) clearTimeout(timer)
      this.#startNext()
    }
  }

  async #connectUntilDeadline(): Promise<net.Socket> {
    for (;;) {
      const givesUp = this.method.kind === 'sequence' && this.#again === undefined
      try {
        return await this.#connect(givesUp ? Math.min(Date.now() + knockAgainAfterMs, this.#deadline) : this.#deadline)
      } catch (error) {
        this.#startNext()
        if (this.settled.signal.aborted || Date.now() + refusedPauseMs >= this.#deadline) throw error
      }
      await sleep(refusedPauseMs)
      await this.#knockAgain()
    }
  }

  /** Once. A failure here is ignored: the first knock could be sent. */
  #knockAgain(): Promise<unknown> {
    if (this.settled.signal.aborted) return Promise.resolve()
    return (this.#again ??= this.method.send(this.address, this.settled.signal).catch(() => undefined))
  }

  #connect(until: number): Promise<net.Socket> {
    const { address, settled } = this
    return new Promise((resolve, reject) => {
      // Half-open is what the relay is about; small packets go at once, as ssh would set it for a socket of its own.
      const options = { allowHalfOpen: true, noDelay: true, keepAlive: true }
      const socket = net.connect({ ...connectionTo(address, this.port), ...options })
      // What the server says first belongs to the one who gets the connection.
      socket.pause()
      const fail = (message: string) => {
        socket.destroy()
        end()
        reject(new Error(message))
      }
      const timer = setTimeout(() => fail(noAnswerText(address)), Math.max(0, until - Date.now()))
      const onSettled = () => fail('another address was faster')
      const end = () => {
        clearTimeout(timer)
        settled.signal.removeEventListener('abort', onSettled)
      }
      if (settled.signal.aborted) return onSettled()
      settled.signal.addEventListener('abort', onSettled)
      socket.on('error', error => fail(connectErrorText(address, error)))
      socket.on('connect', () => {
        end()
        settled.abort()
        resolve(socket)
      })
    })
  }
}
