/** Runs programs to their end, each for a limited time. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { oneLine } from './text.js'

interface ProgramResult {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs one program to its end. A failure to start rejects with the system's error, and a program that does not end in
 * time with a TimeLimitError. When `signal` is aborted, the program is killed, and its result is worth nothing.
 */
export type Execute = (
  file: string,
  args: readonly string[],
  input?: string,
  signal?: AbortSignal,
) => Promise<ProgramResult>

/** The program was killed, together with what it had started. `message` is one line. */
export class TimeLimitError extends Error {
  override readonly name = 'TimeLimitError'

  constructor(
    readonly file: string,
    readonly seconds: number,
  ) {
    super(`${file} did not end within ${seconds} s and was killed`)
  }
}

/** The largest listings take seconds, on slow machines ten times as long. */
const programMilliseconds = 30_000

/** What ends each program that runs. */
const running = new Map<ChildProcess, () => void>()

/** Kills every program that `execute` has started and that still runs, and returns their command lines. */
export function killPrograms(): string[] {
  const lines = [...running.keys()].map(({ spawnargs }) => oneLine(spawnargs.join(' ')).slice(0, 120))
  for (const kill of running.values()) kill()
  return lines
}

/** Kills a process that leads a group, and the group. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It has just ended.
  }
}

/** Runs programs for at most so long. */
export const executeWithin =
  (milliseconds: number): Execute =>
  (file, args, input = '', signal) =>
    new Promise((resolve, reject) => {
      const child = spawn(file, args, {
        stdio: ['pipe', 'pipe', 'pipe'],
        env: { ...process.env, LC_ALL: 'C' },
        // A group of its own: what the program has started is killed with it.
        detached: true,
      })
      // Without free file descriptors there are no pipes, whatever the types say; the 'error' event follows.
      const pipes: Partial<Pick<typeof child, 'stdin' | 'stdout' | 'stderr'>> = child
      const kill = (reason: Error) => {
        killGroup(child)
        // A process that left the group may hold the pipes open, and what it says is not waited for.
        for (const stream of [pipes.stdin, pipes.stdout, pipes.stderr]) stream?.destroy()
        end()
        reject(reason)
      }
      const abort = () => {
        kill(new Error(`${file} was killed: its result is not wanted any more`))
      }
      running.set(child, abort)
      const timer = setTimeout(() => {
        kill(new TimeLimitError(file, milliseconds / 1000))
      }, milliseconds)
      if (signal?.aborted) abort()
      else signal?.addEventListener('abort', abort, { once: true })
      const end = () => {
        running.delete(child)
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
      }
      const out: Buffer[] = []
      const err: Buffer[] = []
      child.on('error', error => {
        end()
        reject(error)
      })
      pipes.stdout?.on('data', (chunk: Buffer) => out.push(chunk))
      pipes.stderr?.on('data', (chunk: Buffer) => err.push(chunk))
      pipes.stdin?.on('error', () => undefined) // the exit status decides, also for a program that does not read its input
      child.on('close', status => {
        end()
        resolve({ status: status ?? 1, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() })
      })
      pipes.stdin?.end(input)
    })

export const execute = executeWithin(programMilliseconds)
