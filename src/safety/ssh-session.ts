/**
 * The ssh session in which a command was typed. sshd sets SSH_CONNECTION for its children; sudo removes it, so the
 * environments of the parent processes are searched as well. A session counts only while its connection is established:
 * at(1), tmux or a daemon may have inherited the variable from a session that has ended.
 */
import * as fs from 'node:fs'
import { isIP } from 'node:net'
import { addressFromBytes, canonicalAddress } from '../net/index.js'

/** The remote address of a TCP connection, and its local port. */
export interface Session {
  readonly version: 4 | 6
  readonly address: string
  readonly port: number
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
): Session | undefined {
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
  return [...found].map(parseConnection).find(session => session && established.has(keyOf(session)))
}

function parentOf(pid: number, proc: Proc): number {
  // The name of the program is in parentheses, and may contain any character.
  const fields = proc.read(`${pid}/stat`)?.replace(/^.*\)/s, '').trim().split(' ')
  return Number(fields?.[1] ?? 0)
}

interface Connection extends Session {
  readonly remotePort: number
}

/** `198.51.100.7 50112 203.0.113.10 22` */
export function parseConnection(text: string): Connection | undefined {
  const [address = '', remotePort, , port, ...rest] = text.split(' ')
  // A dual-stack socket has IPv4 addresses as ::ffff:1.2.3.4; a link-local address has its interface appended.
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

/** An address of /proc/net/tcp: 32-bit words of the packet, each read as a little-endian number. */
function addressOf(hex: string): string {
  const bytes = Buffer.from(hex, 'hex')
  if (bytes.length !== 4 && bytes.length !== 16) return ''
  const address = addressFromBytes(bytes.swap32(), 0, bytes.length === 4 ? 4 : 6)
  return address.replace(/^::ffff:(?=\d+\.)/, '')
}
