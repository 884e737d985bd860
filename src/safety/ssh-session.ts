/**
 * The ssh session in which a command was typed: sshd tells its children by SSH_CONNECTION. sudo takes the variable away,
 * and so the processes that we descend from are asked as well. It counts only while that connection is established here:
 * what at(1), tmux or a daemon inherited from a session long gone says nothing of who would be shut out now.
 */
import * as fs from 'node:fs'
import { isIP } from 'node:net'
import { addressFromBytes, canonicalAddress } from '../net/addresses.js'

/** Who is at the other end of a TCP connection, and the port that it came to. */
export interface Session {
  readonly version: 4 | 6
  readonly address: string
  readonly port: number
}

/** The parts of /proc that are looked at. */
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

/** More generations stand between nobody and his sshd. */
const maxGenerations = 64

export function findSession(
  own: string | undefined = process.env['SSH_CONNECTION'],
  pid: number = process.pid,
  proc: Proc = realProc,
): Session | undefined {
  const told = new Set(own === undefined ? [] : [own])
  let parent = parentOf(pid, proc)
  for (let i = 0; i < maxGenerations && parent > 0; i++) {
    const environment = proc.read(`${parent}/environ`)?.split('\0') ?? []
    const variable = environment.find(text => text.startsWith('SSH_CONNECTION='))
    if (variable !== undefined) told.add(variable.slice('SSH_CONNECTION='.length))
    parent = parentOf(parent, proc)
  }
  if (told.size === 0) return undefined
  const established = establishedConnections(proc)
  return [...told].map(parseConnection).find(found => found && established.has(keyOf(found)))
}

function parentOf(pid: number, proc: Proc): number {
  // The name of the program stands in parentheses, and may hold anything.
  const fields = proc.read(`${pid}/stat`)?.replace(/^.*\)/s, '').trim().split(' ')
  return Number(fields?.[1] ?? 0)
}

interface Connection extends Session {
  readonly remotePort: number
}

/** `198.51.100.7 50112 203.0.113.10 22` */
export function parseConnection(text: string): Connection | undefined {
  const [address = '', remotePort, , port, ...rest] = text.split(' ')
  // A socket for both versions of IP tells IPv4 addresses as ::ffff:1.2.3.4, a link-local one its interface.
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*/, '')
  const version = isIP(plain)
  if ((version !== 4 && version !== 6) || rest.length > 0) return undefined
  const ports = [Number(remotePort), Number(port)]
  if (!ports.every(number => Number.isInteger(number) && number > 0 && number < 65_536)) return undefined
  return { version, address: canonicalAddress(plain), remotePort: Number(remotePort), port: Number(port) }
}

const keyOf = ({ address, remotePort, port }: Connection) => `${address} ${remotePort} ${port}`

const established = '01'

/** The connections of this network namespace, as `keyOf` writes them. */
function establishedConnections(proc: Proc): Set<string> {
  const keys = new Set<string>()
  for (const file of ['self/net/tcp', 'self/net/tcp6']) {
    for (const line of proc.read(file)?.split('\n') ?? []) {
      const [, local = '', remote = '', state] = /^\s*\d+: (\S+) (\S+) (\S+)/.exec(line) ?? []
      if (state !== established) continue
      const [, port = ''] = local.split(':')
      const [address = '', remotePort = ''] = remote.split(':')
      keys.add(`${addressOf(address)} ${parseInt(remotePort, 16)} ${parseInt(port, 16)}`)
    }
  }
  return keys
}

/** An address of /proc/net/tcp: words of four bytes, each as a little-endian machine reads them from the packet. */
function addressOf(hex: string): string {
  const bytes = Buffer.from(hex, 'hex')
  if (bytes.length !== 4 && bytes.length !== 16) return ''
  const address = addressFromBytes(bytes.swap32(), 0, bytes.length === 4 ? 4 : 6)
  return address.replace(/^::ffff:(?=\d+\.)/, '')
}
