/** Who listens: at the socket, and to the queue. */
import * as fs from 'node:fs'
import type { Status } from '../../controller/index.js'
import { queueReaderPort } from '../../queue/statistics.js'
import { ask } from '../../util/index.js'
import type { DaemonFacts, QueueReader } from '../facts.js'
import type { NotSeen } from './not-inspected.js'

const patienceMilliseconds = 5000

export async function daemonFacts(socket: string, queue: number, notSeen: NotSeen): Promise<DaemonFacts> {
  const common = { socket, queueReader: queueReader(queue) }
  try {
    const answer = await ask(socket, { request: 'status' }, patienceMilliseconds)
    if (answer.ok) return { ...common, state: 'answers', status: answer.result as Status }
    return { ...common, state: 'mute' }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return { ...common, state: 'absent' }
    if (code === 'ECONNREFUSED') return { ...common, state: 'dead' }
    if (code !== 'EACCES') return { ...common, state: 'mute' }
    notSeen('the daemon', `no right to use its socket ${socket}`)
    return { ...common, state: 'forbidden' }
  }
}

function queueReader(queue: number): QueueReader | null {
  const port = queueReaderPort(queue)
  if (port === undefined) return null
  try {
    const name = fs.readFileSync(`/proc/${port}/comm`, 'utf8').trim()
    const words = fs.readFileSync(`/proc/${port}/cmdline`, 'utf8').split('\0')
    const isPkctld =
      words.some(word => /(^|\/)pkctld(\.js)?$/.test(word)) ||
      (words.some(word => /(^|\/)pkctl(\.js)?$/.test(word)) && words.includes('daemon'))
    return { port, name, isPkctld }
  } catch {
    return { port, name: null, isPkctld: false }
  }
}

/** The user with whose rights the daemon runs; undefined when it is not known. */
export function userOf(daemon: DaemonFacts): number | undefined {
  if (daemon.state !== 'answers') return undefined
  return fs.statSync(`/proc/${daemon.status.pid}`, { throwIfNoEntry: false })?.uid
}
