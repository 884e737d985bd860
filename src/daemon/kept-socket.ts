/** A socket whose file another program may remove while the daemon runs: then no command reaches the daemon any more. */
import * as fs from 'node:fs'
import type { Log } from '../controller/index.js'
import type { ListeningSocket } from '../util/index.js'
import { reasonOf } from '../util/index.js'

export interface KeptSocket extends ListeningSocket {
  /** Listens again where the file is gone, and says so; says it once where another one is in its place. Never rejects. */
  keep(log: Pick<Log, 'error' | 'warn'>): Promise<void>
}

export async function keptSocket(path: string, listen: () => Promise<ListeningSocket>): Promise<KeptSocket> {
  let listener: ListeningSocket | undefined = await listen()
  let mine = inodeOf(path)
  let closed: string | undefined
  let isTold = false
  let keeping = Promise.resolve()
  const lost = (log: Pick<Log, 'error'>, what: string) => {
    if (isTold) return
    isTold = true
    log.error(`another program has ${what}: commands do not reach pkctld`)
  }
  async function look(log: Pick<Log, 'error' | 'warn'>): Promise<void> {
    if (closed !== undefined) return
    const there = inodeOf(path)
    if (there !== undefined && there === mine) {
      isTold = false
      return
    }
    if (there !== undefined) {
      lost(log, `put a file in the place of the socket ${path}`)
      return
    }
    // The end of the old one removes the file of that name, so it comes first.
    await listener?.close('the socket was removed, and is made again')
    listener = undefined
    try {
      listener = await listen()
      mine = inodeOf(path)
      isTold = false
      log.warn(`another program has removed the socket ${path}; pkctld has made it again`)
    } catch (error) {
      lost(log, `removed the socket ${path}, and it cannot be made again (${reasonOf(error)})`)
    }
  }
  return {
    keep: log => (keeping = keeping.then(() => look(log)).catch((error: unknown) => lost(log, reasonOf(error)))),
    async close(refusal) {
      closed = refusal
      await keeping
      await listener?.close(refusal)
    },
  }
}

function inodeOf(path: string): bigint | undefined {
  const stat = fs.lstatSync(path, { bigint: true, throwIfNoEntry: false })
  // A file system gives the inode of a removed file to the next one: its time of birth differs.
  return stat && stat.ino * 2n ** 80n + stat.birthtimeNs
}
