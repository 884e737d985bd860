import * as net from 'node:net'
import { connectErrorText, noAnswerText } from './connect-errors.js'
import type { Address } from './send.js'
import { connectionTo } from './send.js'

/** Connects once and closes the connection. Resolves to the address; fails with what came instead. */
export function tryPort(address: Address, port: number, timeout: number): Promise<string> {
  return new Promise((done, fail) => {
    const socket = net.connect({ ...connectionTo(address, port), timeout })
    const end = (finish: () => void) => {
      socket.destroy()
      finish()
    }
    socket.on('connect', () => end(() => done(address.address)))
    socket.on('timeout', () => end(() => fail(new Error(noAnswerText(address)))))
    socket.on('error', error => end(() => fail(new Error(connectErrorText(address, error)))))
  })
}
