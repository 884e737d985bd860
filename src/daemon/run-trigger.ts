/**
 * Runs the commands of triggers: without a terminal or the daemon's environment, with a time limit, and with their output
 * in the log.
 */
import { spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import type { CommandRun, Log, RunCommand } from '../controller/index.js'
import { execute, oneLine } from '../util/index.js'

const searchPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const maxLines = 50
const maxLineLength = 1000
/** Between asking a command to end and ending it. */
const graceMilliseconds = 2000
/** How long processes that a command left behind may keep its pipes open. */
const leftoverMilliseconds = 500

/** Runs a command, and resolves to what went wrong, if anything. */
export type TryCommand = (run: CommandRun) => Promise<string | undefined>

/** What goes wrong is in the log, too. */
export function commandRunner(log: Log): RunCommand {
  const attempt = commandTrier(log)
  return async run => {
    const problem = await attempt(run)
    if (problem !== undefined) log.warn(`${run.name}: ${problem}`, { trigger: run.name })
  }
}

export function commandTrier(log: Log): TryCommand {
  return async run => {
    try {
      return await start(run, await identityOf(run), line => {
        log.info(`${run.name}: ${line}`, { trigger: run.name })
      })
    } catch (error) {
      return `cannot be run: ${(error as Error).message}`
    }
  }
}

interface Identity {
  readonly uid?: number
  readonly gid?: number
}

/** Resolves to a message about what went wrong, or to undefined. */
function start(run: CommandRun, identity: Identity, say: (line: string) => void): Promise<string | undefined> {
  const [file = '', ...args] = run.argv
  return new Promise((resolve, reject) => {
    // Its own process group, so that the command and its children can be ended together.
    const child = spawn(file, args, {
      cwd: '/',
      env: { PATH: searchPath, LANG: 'C.UTF-8', ...run.environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      ...identity,
    })
    let late = false
    const end = (signal: NodeJS.Signals) => {
      try {
        process.kill(-(child.pid as number), signal)
      } catch {
        // It has just ended.
      }
    }
    const timer = setTimeout(() => {
      late = true
      end('SIGTERM')
      setTimeout(() => end('SIGKILL'), graceMilliseconds).unref()
    }, run.timeout * 1000)
    child.on('error', error => {
      clearTimeout(timer)
      reject(error)
    })
    // Without free file descriptors there are no pipes, whatever the types say; the 'error' event follows.
    const pipes = [child.stdout, child.stderr].filter((pipe: Readable | undefined) => pipe !== undefined)
    logLines(pipes, say)
    child.on('exit', () => {
      clearTimeout(timer)
      setTimeout(() => {
        child.stdout.destroy()
        child.stderr.destroy()
      }, leftoverMilliseconds)
    })
    // The result is logged after the output.
    child.on('close', (status, signal) => {
      if (late) resolve(`took longer than ${run.timeout} s and was ended`)
      else resolve(status === 0 ? undefined : `ended with ${signal ?? `exit status ${status}`}`)
    })
  })
}

function logLines(streams: readonly Readable[], say: (line: string) => void): void {
  let lines = 0
  const count = (line: string) => {
    lines++
    if (lines <= maxLines) say(oneLine(line.replace(/\r$/, '')))
    else if (lines === maxLines + 1) say('says more, which is not logged')
  }
  for (const stream of streams) {
    // No more of a line is kept than is logged: it may never end.
    let begun = ''
    stream.setEncoding('utf8').on('data', (text: string) => {
      if (lines > maxLines) return
      const [first = '', ...others] = text.split('\n')
      begun = (begun + first).slice(0, maxLineLength)
      for (const other of others) {
        count(begun)
        begun = other.slice(0, maxLineLength)
      }
    })
    stream.on('close', () => {
      if (begun !== '') count(begun)
    })
    stream.on('error', () => undefined)
  }
}

/** The IDs of user and group. Throws when one does not exist. */
async function identityOf({ user, group }: Pick<CommandRun, 'user' | 'group'>): Promise<Identity> {
  const account = user === null ? undefined : await entry('passwd', user)
  const ofUser = account && { uid: Number(account[2]), gid: Number(account[3]) }
  return { ...ofUser, ...(group === null ? {} : { gid: Number((await entry('group', group))[2]) }) }
}

async function entry(database: 'passwd' | 'group', name: string): Promise<string[]> {
  const { status, stdout } = await execute('getent', [database, name])
  const fields = stdout.trim().split(':')
  if (status === 0 && /^\d+$/.test(fields[2] ?? '')) return fields
  throw new Error(`there is no ${database === 'passwd' ? 'user' : 'group'} ${name}`)
}
