/** Where a knock goes, and one datagram sent there. */
import * as dgram from 'node:dgram'
import type { LookupAddress } from 'node:dns'
import * as dns from 'node:dns/promises'
import * as net from 'node:net'
import { usageError, UserError } from '../util/index.js'

export interface Address {
  readonly address: string
  readonly family: 4 | 6
  /** The address of this machine that packets come from; the system's choice without it. */
  readonly source?: string
}

/** The machine has no way to this address, or may not use it. */
export class NotSent extends Error {
  override readonly name = 'NotSent'
  constructor({ address, source }: Address, { code, message }: NodeJS.ErrnoException) {
    const isForeign = source !== undefined && code === 'EADDRNOTAVAIL'
    super(`no knock could be sent to ${address}: ${isForeign ? `this machine does not have ${source}` : message}`)
  }
}

/** At least one, at most one of each version of IP; with a source, of its version alone. */
export async function resolve(host: string, family: 4 | 6 | undefined): Promise<Address[]> {
  const version = net.isIP(host)
  if (version !== 0 && family !== undefined && version !== family) {
    throw usageError(`${host} is an IPv${version} address, and -${family} asks for IPv${family}`)
  }
  let found: LookupAddress[]
  try {
    found = await dns.lookup(host, { all: true, family: family ?? 0, verbatim: true })
  } catch (error) {
    const hint = 'is it misspelt, or missing in hosts.yaml?'
    throw new UserError(`${host} is not known: ${(error as NodeJS.ErrnoException).code ?? ''}`, hint)
  }
  // One of each version: a knock opens for the source that the server sees, which differs between the two only.
  const first = (wanted: 4 | 6) => found.find(({ family: its }) => its === wanted)
  return [first(6), first(4)].flatMap(one =>
    one ? [{ address: one.address, family: one.family === 6 ? 6 : 4 } as const] : [],
  )
}

/** Fails with `NotSent`. */
export function sendDatagram(target: Address, port: number, payload: Uint8Array): Promise<void> {
  const { address, family, source } = target
  return new Promise((done, fail) => {
    const notSent = (error: Error) => fail(new NotSent(target, error))
    const socket = dgram.createSocket(family === 4 ? 'udp4' : 'udp6')
    socket.on('error', notSent)
    const send = () =>
      socket.send(payload, port, address, error => {
        socket.close()
        if (error) notSent(error)
        else done()
      })
    if (source === undefined) send()
    else socket.bind({ address: source }, send)
  })
}

/** For `net.connect`. */
export const connectionTo = ({ address, source }: Address, port: number): net.TcpNetConnectOpts => ({
  host: address,
  port,
  ...(source !== undefined && { localAddress: source }),
})
