/** Typing into an interactive program on a terminal of its own. */
import * as fs from 'node:fs'
import type { Background } from './commands.js'
import { until } from './commands.js'

export interface ShellOptions {
  readonly start: (argv: readonly string[]) => Background
  readonly path: string
}

/** Types lines into a shell, each when the one before is done, and gives back all that was on the terminal. */
export async function typeInto(
  shell: string,
  { start, path }: ShellOptions,
  lines: readonly string[],
): Promise<string> {
  // The terminal's other end is a pair of pipes, of which the test writes into one.
  const terminal = `EXEC:"${shell}",pty,setsid,ctty,stderr,echo=0`
  const script = `mkfifo "$0"; exec socat -t5 - '${terminal}' <>"$0"`
  const pipe = `/tmp/pkctl-typing-${process.pid}-${Math.random().toString(36).slice(2)}`
  const background = start(['env', `PATH=${path}`, 'TERM=dumb', 'sh', '-c', script, pipe])
  try {
    await until(() => fs.existsSync(pipe))
    const writer = fs.openSync(pipe, 'r+')
    for (const [i, line] of [...lines, 'exit'].entries()) {
      const last = i === lines.length
      fs.writeSync(writer, `${line}\n${last ? '' : `echo do''ne-${i}\n`}`)
      if (!last) await background.says(new RegExp(`done-${i}`))
    }
    await background.exited
    fs.closeSync(writer)
  } finally {
    fs.rmSync(pipe, { force: true })
  }
  return background.output
}
