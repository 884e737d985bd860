/** Runs programs to their end, each for a limited time. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { oneLine } from './text.js'

interface ProgramResult {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunLimits {
  /** What is asked of the program, for messages; the name of the program without it. */
  readonly name?: string
  /** How long the program may take. */
  readonly milliseconds?: number
  /** When it is aborted, the program is killed, and its result is worth nothing. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Runs one program to its end. A failure to start rejects with the system's error, and a program that does not end in
 * time with a TimeLimitError.
 */
export type Execute = (
  file: string,
  args: readonly string[],
  input?: string,
  limits?: RunLimits,
) => Promise<ProgramResult>

/** The program was killed, together with what it had started. `message` is one line. */
export class TimeLimitError extends Error {
  override readonly name = 'TimeLimitError'

  constructor(
    readonly program: string,
    readonly seconds: number,
  ) {
    super(`${program} did not end within ${seconds} s and was killed`)
  }
}

/** Programs take some milliseconds, on slow machines a second. */
const programMilliseconds = 10_000

/** What ends each program that runs. */
const running = new Map<ChildProcess, () => void>()

// What a program that hangs would do later is not wanted any more.
process.on('exit', killPrograms)

const endingSignals = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const

/** Programs have groups of their own, which a terminal does not end with this process. */
function endWithPrograms(signal: NodeJS.Signals): void {
  // What else listens says how this process ends.
  if (process.listenerCount(signal) > 1) return
  killPrograms()
  process.off(signal, endWithPrograms)
  process.kill(process.pid, signal)
}

let listens = false

/** Before the first program, and for good: a signal that came as the last one ends would be lost. */
function listen(): void {
  if (listens) return
  listens = true
  // Before others, of which one that listens once would not be counted after it was called.
  for (const name of endingSignals) process.prependListener(name, endWithPrograms)
}

/** Kills every program that `execute` has started and that still runs, and returns their command lines. */
export function killPrograms(): string[] {
  const lines = [...running.keys()].map(({ spawnargs }) => oneLine(spawnargs.join(' ')).slice(0, 120))
  for (const kill of running.values()) kill()
  return lines
}

/** Kills a process that leads a group, and the group. */
export function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It has just ended.
  }
}

export const execute: Execute = (file, args, input = '', limits = {}) =>
  new Promise((resolve, reject) => {
    const { name = file, milliseconds = programMilliseconds, signal } = limits
    if (signal?.aborted) {
      reject(notWanted(name))
      return
    }
    listen()
    const child = spawn(file, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C' },
      // A group of its own: what the program has started is killed with it.
      detached: true,
    })
    child.on('error', error => {
      end()
      reject(error)
    })
    const kill = (reason: Error) => {
      killGroup(child)
      // A process that left the group may hold the pipes open, and what it says is not waited for.
      for (const stream of child.stdio) stream?.destroy()
      end()
      reject(reason)
    }
    const abort = () => {
      kill(notWanted(name))
    }
    const timer = setTimeout(() => {
      kill(new TimeLimitError(name, milliseconds / 1000))
    }, milliseconds)
    const end = () => {
      running.delete(child)
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
    // Without free file descriptors there are no pipes, whatever the types say; the 'error' event follows.
    if (child.pid === undefined) return
    running.set(child, abort)
    signal?.addEventListener('abort', abort, { once: true })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    child.stdin.on('error', () => undefined) // the exit status decides, also for a program that does not read its input
    child.on('close', status => {
      end()
      resolve({ status: status ?? 1, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() })
    })
    child.stdin.end(input)
  })

const notWanted = (name: string) => new Error(`${name} was killed: its result is not wanted any more`)
