/** Running programs in tests. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

/** The compiled project. */
export const dist = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')
export const root = path.resolve(dist, '..')

/** The path of a program: of one file where scripts/test.sh has made that, for it starts faster. */
export const program = (name: 'pkctl' | 'pkctld' | 'pktables'): string =>
  path.join(dist, process.env['PKCTL_TEST_BUNDLE'] === '1' ? 'bundle/cli' : 'src/cli', `${name}.js`)
export const pkctl = program('pkctl')

/**
 * How many times slower than usual the machine is, such as one in emulation: what is waited for may take as much longer.
 * How long a packet may take is another matter: see PKCTL_TEST_PATIENCE in peer.ts.
 */
export const slowness = Number(process.env['PKCTL_TEST_SLOWNESS'] ?? 1)

export interface Result {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** The environment of a person at a terminal, in which nothing forbids colours. */
export const terminalEnvironment: NodeJS.ProcessEnv = {
  TERM: 'xterm',
  NO_COLOR: undefined,
  // Node takes the terminal of a build server for one without colours.
  CI: undefined,
  FORCE_COLOR: undefined,
  NODE_DISABLE_COLORS: undefined,
}

export interface RunOptions {
  readonly input?: string
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  /** How long it may take on a usual machine. */
  readonly milliseconds?: number
}

/** Runs a program to its end, at most a minute on a usual machine unless the options say otherwise. */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<Result> {
  return new Promise((resolve, reject) => {
    const [file, ...args] = argv
    const child = spawn(file as string, args, {
      stdio: 'pipe',
      timeout: (options.milliseconds ?? 60_000) * slowness,
      killSignal: 'SIGKILL',
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('error', reject)
    child.on('close', status => resolve({ status, stdout, stderr }))
    child.stdin.on('error', () => undefined)
    child.stdin.end(options.input ?? '')
  })
}

/** Like `run`, and a failure is an error that tells what was said. */
export async function must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await run(argv, options)
  if (result.status !== 0) {
    throw new Error(`${argv.join(' ')}: exit ${result.status}\n${result.stdout}${result.stderr}`)
  }
  return result.stdout
}

export interface BackgroundOptions extends RunOptions {
  /** Gives it a socket as descriptor 3, to talk to it. */
  readonly channel?: boolean
}

/** A program that runs on, and what it has said so far. */
export class Background {
  output = ''
  readonly child: ChildProcess
  readonly exited: Promise<number | null>

  constructor(argv: readonly string[], options: BackgroundOptions = {}) {
    const [file, ...args] = argv
    this.child = spawn(file as string, args, {
      stdio: ['ignore', 'pipe', 'pipe', ...(options.channel === true ? (['pipe'] as const) : [])],
      env: { ...process.env, ...options.env },
    })
    const collect = (chunk: Buffer) => (this.output += chunk.toString())
    this.child.stdout?.on('data', collect)
    this.child.stderr?.on('data', collect)
    this.exited = new Promise(resolve => {
      this.child.on('close', status => resolve(status))
      // A grandchild may hold the pipes for longer.
      this.child.on('exit', status => setTimeout(() => resolve(status), 500).unref())
      this.child.on('error', () => resolve(null))
    })
  }

  /** Waits until it has said something that matches. */
  async says(pattern: RegExp, milliseconds = 60_000): Promise<string> {
    await until(() => pattern.test(this.output) || this.child.exitCode !== null, milliseconds).catch(() => undefined)
    if (!pattern.test(this.output)) throw new Error(`waited for ${String(pattern)} in:\n${this.output}`)
    return this.output
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal)
    const late = setTimeout(() => this.child.kill('SIGKILL'), 10_000 * slowness)
    const status = await this.exited
    clearTimeout(late)
    return status
  }
}

export const sleep = (milliseconds: number): Promise<void> => new Promise(done => setTimeout(done, milliseconds))

/** Waits for a condition; throws when it has not come true in time. */
export async function until(condition: () => boolean | Promise<boolean>, milliseconds = 30_000): Promise<void> {
  const end = Date.now() + milliseconds * slowness
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited ${milliseconds} ms for ${String(condition)}`)
    await sleep(20)
  }
}
