/** The client's side of a sequence: one TCP SYN or empty datagram after the other. */
import * as dgram from 'node:dgram'
import * as net from 'node:net'
import type { Step } from '../knock/sequence.js'
import { protocolUdp } from '../knock/sequence.js'
import type { Address } from './knocking.js'
import { NotSent } from './knocking.js'

/** Knocks at the ports of one address in their order, with a pause after each. Nobody has to answer. */
export async function knockSteps(address: Address, steps: readonly Step[], pauseMilliseconds: number): Promise<void> {
  for (const { protocol, port } of steps) {
    if (protocol === protocolUdp) await sendDatagram(address, port)
    else await startConnection(address, port)
    await new Promise(done => setTimeout(done, pauseMilliseconds))
  }
}

function sendDatagram({ address, family }: Address, port: number): Promise<void> {
  return new Promise((done, fail) => {
    const socket = dgram.createSocket(family === 4 ? 'udp4' : 'udp6')
    socket.on('error', error => fail(new NotSent(`no knock could be sent to ${address}: ${error.message}`)))
    socket.send(Buffer.alloc(0), port, address, error => {
      socket.close()
      if (error) fail(new NotSent(`no knock could be sent to ${address}: ${error.message}`))
      else done()
    })
  })
}

/** Says that nothing was sent at all; any other error is somebody's answer, and as good as none. */
const unsent = new Set(['ENETUNREACH', 'EACCES', 'EADDRNOTAVAIL', 'EPERM', 'EINVAL'])

function startConnection({ address }: Address, port: number): Promise<void> {
  return new Promise((done, fail) => {
    const socket = net.connect({ host: address, port })
    socket.on('error', ({ code, message }: NodeJS.ErrnoException) => {
      if (unsent.has(code ?? '')) fail(new NotSent(`no knock could be sent to ${address}: ${message}`))
    })
    // The SYN is out as soon as the system has been called, which it has by the next turn of the loop.
    setImmediate(() => {
      setImmediate(() => {
        socket.destroy()
        done()
      })
    })
  })
}
