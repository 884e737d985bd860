/**
 * The ssh session in which a command was typed. sshd sets SSH_CONNECTION for its children; sudo removes it, so the
 * environments of the parent processes are searched as well. A session counts only while its connection is established:
 * at(1), tmux or a daemon may have inherited the variable from a session that has ended.
 */
import * as fs from 'node:fs'
import { isIP } from 'node:net'
import * as os from 'node:os'
import { canonicalAddress, hostInterfaces, parseTcpSockets, prefixContains } from '../net/index.js'

/** The remote address of a TCP connection, and the address and port at which the client reached this machine. */
export interface Session {
  readonly version: 4 | 6
  readonly address: string
  readonly localAddress: string
  readonly port: number
  /** By which its packets come in, and what these interfaces belong to; undefined where that is not certain. */
  readonly interfaces?: readonly string[]
}

/** Reads /proc. */
export interface Proc {
  /** The text of a file below /proc; undefined when it cannot be read. */
  read(file: string): string | undefined
}

const realProc: Proc = {
  read(file) {
    try {
      return fs.readFileSync(`/proc/${file}`, 'utf8')
    } catch {
      return undefined
    }
  },
}

/** How many parent processes are searched. */
const maxGenerations = 64

export function findSession(
  own: string | undefined = process.env['SSH_CONNECTION'],
  pid: number = process.pid,
  proc: Proc = realProc,
): Connection | undefined {
  const found = new Set(own === undefined ? [] : [own])
  let parent = parentOf(pid, proc)
  for (let i = 0; i < maxGenerations && parent > 0; i++) {
    const environment = proc.read(`${parent}/environ`)?.split('\0') ?? []
    const variable = environment.find(text => text.startsWith('SSH_CONNECTION='))
    if (variable !== undefined) found.add(variable.slice('SSH_CONNECTION='.length))
    parent = parentOf(parent, proc)
  }
  if (found.size === 0) return undefined
  const established = establishedConnections(proc)
  const session = [...found].map(parseConnection).find(one => one && established.has(keyOf(one)))
  const interfaces = session && interfacesOf(session)
  return interfaces ? { ...session, interfaces } : session
}

type Interfaces = ReturnType<typeof os.networkInterfaces>

/**
 * The interface that has the local address, and its master, where the client is in the network of that address, and in the
 * network of no other interface. Linux takes packets to any of its addresses by any interface, so for a client elsewhere it
 * is not certain by which one its packets come in: they may have come through a tunnel.
 */
export function interfacesOf(
  { address, localAddress }: Pick<Session, 'address' | 'localAddress'>,
  host: Interfaces = os.networkInterfaces(),
): string[] | undefined {
  const local = canonicalAddress(localAddress)
  const all = Object.entries(host).flatMap(([label, addresses = []]) =>
    // An address with a label has the name of its interface before the colon: eth0:1.
    addresses.map(one => ({
      ...one,
      name: label.replace(/:.*/, ''),
      isLocal: canonicalAddress(one.address) === local,
    })),
  )
  const near = all.filter(({ cidr, isLocal }) => isLocal || (cidr !== null && prefixContains(cidr, address)))
  const [name, ...others] = new Set(near.map(one => one.name))
  const isCertain = near.some(
    ({ isLocal, internal, cidr }) => isLocal && !internal && cidr !== null && prefixContains(cidr, address),
  )
  if (name === undefined || others.length > 0 || !isCertain) return undefined
  const master = hostInterfaces()?.find(one => one.name === name)?.master
  return master ? [name, master] : [name]
}

function parentOf(pid: number, proc: Proc): number {
  // The name of the program is in parentheses, and may contain any character.
  const fields = proc.read(`${pid}/stat`)?.replace(/^.*\)/s, '').trim().split(' ')
  return Number(fields?.[1] ?? 0)
}

export interface Connection extends Session {
  readonly remotePort: number
}

/** `198.51.100.7 50112 203.0.113.10 22` */
export function parseConnection(text: string): Connection | undefined {
  const [address = '', remotePort, local = '', port, ...rest] = text.split(' ')
  const plain = plainAddress(address)
  const version = isIP(plain)
  if ((version !== 4 && version !== 6) || rest.length > 0) return undefined
  const ports = [Number(remotePort), Number(port)]
  if (!ports.every(number => Number.isInteger(number) && number > 0 && number < 65_536)) return undefined
  const localAddress = plainAddress(local)
  return { version, address: canonicalAddress(plain), localAddress, remotePort: Number(remotePort), port: Number(port) }
}

/** A dual-stack socket has IPv4 addresses as ::ffff:1.2.3.4; a link-local address has its interface appended. */
const plainAddress = (text: string) => text.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*/, '')

const keyOf = ({ address, remotePort, port }: Connection) => `${address} ${remotePort} ${port}`

/** The connections of this network namespace, as `keyOf` writes them. */
function establishedConnections(proc: Proc): Set<string> {
  const sockets = ['self/net/tcp', 'self/net/tcp6'].flatMap(file => parseTcpSockets(proc.read(file) ?? ''))
  return new Set(
    sockets.flatMap(({ state, remoteAddress, remotePort, localPort }) =>
      state === 'established' ? [`${remoteAddress} ${remotePort} ${localPort}`] : [],
    ),
  )
}
