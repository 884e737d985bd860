/** The TCP sockets of a network namespace, as /proc/net/tcp and /proc/net/tcp6 list them: see proc(5). */
import { addressFromBytes } from './addresses.js'

interface TcpSocket {
  readonly state: 'established' | 'listen' | 'other'
  /** IPv4 addresses of sockets for both families are written as IPv4. */
  readonly localAddress: string
  readonly localPort: number
  readonly remoteAddress: string
  readonly remotePort: number
  /** Undefined where the line is cut off. */
  readonly inode: number | undefined
}

/** Of the text of one file, or of both joined. Lines that are no sockets are left out. */
export function parseTcpSockets(text: string): TcpSocket[] {
  return text.split('\n').flatMap(line => {
    const fields = line.trim().split(/\s+/)
    const [, local = '', remote = '', state = ''] = fields
    if (!/^\d+:$/.test(fields[0] ?? '') || !local.includes(':') || !remote.includes(':')) return []
    const [localAddress = '', localPort = ''] = local.split(':')
    const [remoteAddress = '', remotePort = ''] = remote.split(':')
    const inode = Number(fields[9])
    return {
      state: states[state] ?? 'other',
      localAddress: addressOf(localAddress),
      localPort: parseInt(localPort, 16),
      remoteAddress: addressOf(remoteAddress),
      remotePort: parseInt(remotePort, 16),
      inode: Number.isSafeInteger(inode) ? inode : undefined,
    }
  })
}

/** Of the kernel's include/net/tcp_states.h. */
const states: Readonly<Record<string, TcpSocket['state']>> = { '01': 'established', '0A': 'listen' }

/** 32-bit words of the address, each written as a little-endian number. */
function addressOf(hex: string): string {
  const bytes = Buffer.from(hex, 'hex')
  if (bytes.length !== 4 && bytes.length !== 16) return ''
  const address = addressFromBytes(bytes.swap32(), 0, bytes.length === 4 ? 4 : 6)
  return address.replace(/^::ffff:(?=\d+\.)/, '')
}
