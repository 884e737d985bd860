/** A peer that stays, so that not each step of a test has to wait for a process to start. */
import type { ChildProcessByStdio } from 'node:child_process'
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { Answer, Outcome, Request, Step } from './peer.js'

export class PeerProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #asked = 0

  constructor([file, ...args]: readonly [string, ...string[]]) {
    this.#child = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child.stdin.on('error', () => undefined)
    createInterface({ input: this.#child.stdout }).on('line', line => {
      const answer = JSON.parse(line) as Answer
      this.#waiting.get(answer.id)?.(answer)
    })
    this.#child.on('close', () => {
      for (const [id, give] of this.#waiting) give({ id, error: 'it ended' })
    })
  }

  /** Takes these steps, one right after the other, whatever else it is doing. */
  async take(steps: readonly Step[]): Promise<Outcome[]> {
    const id = ++this.#asked
    const answer = await new Promise<Answer>(resolve => {
      this.#waiting.set(id, resolve)
      this.#child.stdin.write(`${JSON.stringify({ id, steps } satisfies Request)}\n`)
    })
    this.#waiting.delete(id)
    if ('error' in answer) throw new Error(`the peer failed: ${answer.error}`)
    return answer.outcomes
  }

  stop(): void {
    this.#child.kill('SIGKILL')
  }
}
