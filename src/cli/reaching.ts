/**
 * A TCP connection through a port that a knock opens. Knock and connect go out together; the kernel repeats a SYN that
 * was lost, after a second for the first time, and just before that the knock is sent anew, in case that was lost.
 * Where a refusal comes back instead, the connection is tried again after a pause.
 *
 * A name with addresses of both versions of IP is tried at the first, and a little later at the other as well; the
 * first that answers is taken (RFC 8305). No second connection is made where one is on its way: services with
 * `single-use` let one in, and sshd counts those that say nothing.
 */
import * as net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Address, Target } from './knocking.js'
import { closedHint, knockAt, millisecondsSince, noAnswer, NotSent, reasonFor } from './knocking.js'
import { CliError } from './terminal.js'

const knockAgainAfterMs = 900
const refusedPauseMs = 250
const otherFamilyAfterMs = 250

/** Resolves to a connection that is open both ways and not read from yet. */
export function reach(target: Target, port: number, timeoutMs: number): Promise<net.Socket> {
  const started = process.hrtime.bigint()
  const deadline = Date.now() + timeoutMs
  const settled = new AbortController()
  const waiting = [...target.addresses]
  const failures: Error[] = []
  return new Promise((resolve, reject) => {
    const startNext = () => {
      const address = waiting.shift()
      if (address === undefined || settled.signal.aborted) return
      const later = setTimeout(startNext, otherFamilyAfterMs)
      new Attempt(address, port, target, deadline, startNext, settled)
        .run()
        .then(resolve, (error: unknown) => {
          failures.push(error as Error)
          if (failures.length === target.addresses.length) reject(explained(failures, port, started))
        })
        .finally(() => clearTimeout(later))
    }
    startNext()
  })
}

function explained(failures: readonly Error[], port: number, started: bigint): CliError {
  const why = failures.map(({ message }) => message).join('; ')
  if (failures.every(error => error instanceof NotSent)) return new CliError(why, 'is there a route to it?')
  return new CliError(`port ${port}/tcp is not open after ${millisecondsSince(started)}: ${why}`, closedHint)
}

/** Knocking and connecting at one address. */
class Attempt {
  #again: Promise<unknown> | undefined

  constructor(
    readonly address: Address,
    readonly port: number,
    readonly target: Target,
    readonly deadline: number,
    /** Called when it does not go as it should, so that another address need not wait. */
    readonly onTrouble: () => void,
    /** Aborted by the attempt that has its connection: the others end. */
    readonly settled: AbortController,
  ) {}

  async run(): Promise<net.Socket> {
    try {
      await knockAt(this.address, this.target)
    } catch (error) {
      this.onTrouble()
      throw error
    }
    const timer = setTimeout(() => void this.#knockAgain(), knockAgainAfterMs)
    try {
      for (;;) {
        try {
          return await this.#connect()
        } catch (error) {
          this.onTrouble()
          if (this.settled.signal.aborted || Date.now() + refusedPauseMs >= this.deadline) throw error
        }
        await sleep(refusedPauseMs)
        await this.#knockAgain()
      }
    } finally {
      clearTimeout(timer)
    }
  }

  /** Once. That it cannot be sent, when the first one could be, is not worth an end. */
  #knockAgain(): Promise<unknown> {
    if (this.settled.signal.aborted) return Promise.resolve()
    return (this.#again ??= knockAt(this.address, this.target).catch(() => undefined))
  }

  #connect(): Promise<net.Socket> {
    const { address, settled } = this
    return new Promise((resolve, reject) => {
      // Half-open is what the relay is about; small packets go at once, as ssh would set it for a socket of its own.
      const options = { host: address.address, port: this.port, allowHalfOpen: true, noDelay: true, keepAlive: true }
      const socket = net.connect(options)
      const fail = (message: string) => {
        socket.destroy()
        end()
        reject(new Error(message))
      }
      const timer = setTimeout(() => fail(noAnswer(address)), Math.max(0, this.deadline - Date.now()))
      const onSettled = () => fail('another address was faster')
      const end = () => {
        clearTimeout(timer)
        settled.signal.removeEventListener('abort', onSettled)
      }
      if (settled.signal.aborted) return onSettled()
      settled.signal.addEventListener('abort', onSettled)
      socket.on('error', error => fail(reasonFor(address, error)))
      socket.on('connect', () => {
        end()
        settled.abort()
        resolve(socket)
      })
    })
  }
}
