/** The process that rolls a change back unless it is confirmed. rollback.ts starts it. */
import * as fs from 'node:fs'
import { realFirewall } from '../nft/index.js'
import type { Answer } from '../util/index.js'
import { ask, execute, listen, requestIn, unknownRequest } from '../util/index.js'
import type { RollbackState } from './rollback.js'
import { rollBack, rollbackRequests, rollbackSocket } from './rollback.js'

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
await listen({ path: rollbackSocket, group: null }, message => Promise.resolve(answer(message)))
const start = process.hrtime.bigint()
const timer = setTimeout(() => void undo(), saved.seconds * 1000)
// Ending this process is no confirmation of the change.
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void undo())
process.stdout.write('waiting\n')

function answer(message: unknown): Answer {
  switch (requestIn(message, rollbackRequests)) {
    case 'show':
      return state === 'confirmed' ? unknownRequest : { ok: true, result: { state } }
    case 'confirm':
      if (state !== 'waiting')
        return { ok: false, problems: [{ message: 'too late: the change is being rolled back' }] }
      state = 'confirmed'
      clearTimeout(timer)
      forget()
      setTimeout(() => process.exit(0), lingerMilliseconds)
      return { ok: true, result: null }
    case undefined:
      return unknownRequest
  }
}

/** From now on another change can wait for its confirmation. */
function forget(): void {
  fs.rmSync(rollbackSocket, { force: true })
}

async function undo(): Promise<void> {
  if (state !== 'waiting') return
  state = 'rolling back'
  clearTimeout(timer)
  for (let i = 1; i <= tries; i++) {
    try {
      const elapsed = Number((process.hrtime.bigint() - start) / 1_000_000_000n)
      const { details } = await rollBack(realFirewall(), saved, elapsed)
      for (const file of saved.newFiles) fs.rmSync(file, { force: true })
      // What the daemon has read from files that are gone must not count any more, either.
      const request = saved.newFiles.length > 0 ? 'reload' : 'refresh'
      await ask(saved.daemonSocket, { request }).catch(() => undefined)
      await say('warning', `a change that was not confirmed is rolled back: ${details.join('; ') || 'nothing to undo'}`)
      break
    } catch (error) {
      await say('err', `a change that was not confirmed could not be rolled back: ${(error as Error).message}`)
      await new Promise(done => setTimeout(done, betweenTriesMilliseconds))
    }
  }
  forget()
  process.exit(0)
}

/** To syslog, if there is one: there may be no terminal any more. */
async function say(level: 'warning' | 'err', message: string): Promise<void> {
  await execute('logger', ['-t', 'pkctl', '-p', `daemon.${level}`, '--', message]).catch(() => undefined)
}
