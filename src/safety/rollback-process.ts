/** The process that rolls a change back unless it is confirmed. rollback.ts starts it. */
import * as fs from 'node:fs'
import { removeUnconfirmed } from '../config/unconfirmed-change.js'
import { realFirewall } from '../nft/index.js'
import type { Answer } from '../util/index.js'
import { execute, listen, requestIn, unknownRequest } from '../util/index.js'
import type { RollbackState } from './rollback.js'
import { rollBack } from './rollback.js'
import { isStopping } from './stopping.js'
import { undoAround } from './undo-files.js'
import { rollbackRequests, rollbackSocket } from './ask-rollback-process.js'

const tries = 20
const betweenTriesMilliseconds = 3_000
/** Long enough for the answer to be read. */
const lingerMilliseconds = 1_000

let state: 'waiting' | 'rolling back' | 'confirmed' = 'waiting'

process.title = 'pkctl-rollback'
// The change may end the session in which it was made.
process.on('SIGHUP', () => undefined)
process.stdout.on('error', () => undefined)
const saved = JSON.parse(fs.readFileSync(0, 'utf8')) as RollbackState
const start = process.hrtime.bigint()
let timer: NodeJS.Timeout | undefined
void listen({ path: rollbackSocket, group: null }, answer).then(() => {
  timer = setTimeout(() => void undo(), saved.seconds * 1000)
  // Ending this process is no confirmation of the change.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void undo('ended'))
  process.stdout.write('waiting\n')
})

async function answer(message: unknown): Promise<Answer> {
  const request = requestIn(message, rollbackRequests)
  const tooLate: Answer = { ok: false, problems: [{ message: 'too late: the change is being rolled back' }] }
  const { daemonSocket } = saved
  const waiting = { secondsLeft: Math.max(0, saved.seconds - elapsed()) }
  switch (request) {
    case 'show':
      return state === 'confirmed' ? unknownRequest : { ok: true, result: waiting }
    case 'confirm':
      if (state !== 'waiting') return tooLate
      state = 'confirmed'
      clearTimeout(timer)
      removeUnconfirmed(saved.config, saved.mark)
      forget()
      setTimeout(() => process.exit(0), lingerMilliseconds)
      return { ok: true, result: { ...waiting, daemonSocket } }
    case 'roll back': {
      if (state !== 'waiting') return tooLate
      const details = await undo()
      return details ? { ok: true, result: { details, daemonSocket } } : { ok: false, problems: [{ message: failed }] }
    }
    case undefined:
      return unknownRequest
  }
}

const failed = 'the change could not be rolled back; the log of the system says why'

/** Seconds since the change. */
function elapsed(): number {
  return Number((process.hrtime.bigint() - start) / 1_000_000_000n)
}

/** From now on another change can wait for its confirmation. */
function forget(): void {
  fs.rmSync(rollbackSocket, { force: true })
}

/** What was undone; undefined where the kernel refuses it, or it is confirmed or rolled back already. */
async function undo(why?: 'ended'): Promise<readonly string[] | undefined> {
  if (state !== 'waiting') return undefined
  state = 'rolling back'
  clearTimeout(timer)
  let undone: readonly string[] | undefined
  for (let i = 1; i <= tries; i++) {
    try {
      const { details } = await rollBack(realFirewall(), saved, elapsed())
      undone = details
      await undoAround(saved, saved.daemonSocket)
      // At the end of the boot, a configuration that a user wrote still says what was not confirmed, for the next boot.
      if (saved.files.length > 0 || why === undefined || !(await isStopping()))
        removeUnconfirmed(saved.config, saved.mark)
      await say('warning', `a change that was not confirmed is rolled back: ${details.join('; ') || 'nothing to undo'}`)
      break
    } catch (error) {
      await say('err', `a change that was not confirmed could not be rolled back: ${(error as Error).message}`)
      await new Promise(done => setTimeout(done, betweenTriesMilliseconds))
    }
  }
  forget()
  setTimeout(() => process.exit(0), lingerMilliseconds)
  return undone
}

/** To syslog, if there is one: there may be no terminal any more. */
async function say(level: 'warning' | 'err', message: string): Promise<void> {
  await execute('logger', ['-t', 'pkctl', '-p', `daemon.${level}`, '--', message]).catch(() => undefined)
}
