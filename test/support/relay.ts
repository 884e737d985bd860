/** A program whose stdin and stdout are the test's, to be written and read when the test wants it. */
import type { ChildProcessByStdio } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { sleep, until } from './commands.js'

export class Relay {
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>
  /** Its exit status, or the signal that ended it. */
  readonly ended: Promise<[number | null, NodeJS.Signals | null]>
  stderr = ''

  constructor(argv: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const [file, ...args] = argv
    this.child = spawn(file as string, args, { stdio: 'pipe', env: { ...process.env, ...env } })
    this.child.stderr.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()))
    this.child.stdin.on('error', () => undefined)
    this.ended = once(this.child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  }

  /** Everything on stdout from now on, to its end. */
  async rest(): Promise<Buffer> {
    const chunks: Buffer[] = []
    for await (const chunk of this.child.stdout) chunks.push(chunk as Buffer)
    return Buffer.concat(chunks)
  }

  /** Resident memory in bytes, once it has settled. */
  async memory(): Promise<number> {
    const read = () =>
      Number(/^VmRSS:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${this.child.pid}/status`, 'utf8'))?.[1]) * 1024
    let last = 0
    let same = 0
    await until(async () => {
      await sleep(30)
      const now = read()
      same = Math.abs(now - last) < 1 << 20 ? same + 1 : 0
      last = now
      return same > 10
    }, 20_000)
    return last
  }
}
