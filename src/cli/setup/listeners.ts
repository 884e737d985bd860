/** The TCP ports at which programs of this machine can be reached from others. */
import * as fs from 'node:fs'
import { parseTcpSockets } from '../../net/index.js'

export interface ListeningProgram {
  readonly port: number
  /** As ps names it; undefined where /proc hides it. */
  readonly program: string | undefined
}

/** Each port once; those of sshd first, then in order. */
export function findListeners(proc = '/proc'): ListeningProgram[] {
  const text = ['tcp', 'tcp6'].map(name => read(`${proc}/self/net/${name}`)).join('\n')
  const inodes = new Map<number, number | undefined>()
  for (const { state, localAddress, localPort, inode } of parseTcpSockets(text)) {
    if (state !== 'listen' || isLoopback(localAddress)) continue
    inodes.set(localPort, inodes.get(localPort) ?? inode)
  }
  const programs = programsOf(new Set(inodes.values()), proc)
  const listeners = [...inodes].map(([port, inode]) => ({ port, program: programs.get(inode) }))
  const rank = ({ program }: ListeningProgram) => (program === 'sshd' ? 0 : 1)
  return listeners.sort((a, b) => rank(a) - rank(b) || a.port - b.port)
}

const isLoopback = (address: string) => address.startsWith('127.') || address === '::1'

/** By the inodes of their sockets. */
function programsOf(wanted: ReadonlySet<number | undefined>, proc: string): Map<number | undefined, string> {
  const programs = new Map<number | undefined, string>()
  for (const pid of list(proc).filter(name => /^\d+$/.test(name))) {
    for (const descriptor of list(`${proc}/${pid}/fd`)) {
      const inode = Number(/^socket:\[(\d+)\]$/.exec(target(`${proc}/${pid}/fd/${descriptor}`))?.[1])
      if (wanted.has(inode) && !programs.has(inode)) programs.set(inode, read(`${proc}/${pid}/comm`).trim())
    }
  }
  return programs
}

// Processes end while they are looked at, and those of others are hidden.
const orElse = <T>(rest: T, look: () => T): T => {
  try {
    return look()
  } catch {
    return rest
  }
}
const read = (file: string) => orElse('', () => fs.readFileSync(file, 'utf8'))
const list = (directory: string) => orElse<string[]>([], () => fs.readdirSync(directory))
const target = (link: string) => orElse('', () => fs.readlinkSync(link))
