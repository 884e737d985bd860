/** Writes metrics into a file, for the textfile collector of node_exporter. */
import * as fs from 'node:fs'
import { removeFile, replaceFile } from '../../util/index.js'

/** Other users read it, whatever the umask of the daemon is. */
const mode = 0o644

export class Textfile {
  #timer: NodeJS.Timeout | undefined
  #isWriting = false
  #isStopped = false

  /** `failed` gets each error of the system. */
  constructor(
    readonly file: string,
    readonly intervalSeconds: number,
    readonly text: () => Promise<string>,
    readonly failed: (error: unknown) => void,
  ) {}

  start(): void {
    this.#timer = setInterval(() => void this.#write(), this.intervalSeconds * 1000)
    void this.#write()
  }

  /** Removes the file: what it says is not so any more. That it cannot be removed keeps no daemon from its end. */
  stop(): void {
    this.#isStopped = true
    clearInterval(this.#timer)
    try {
      removeFile(this.file)
    } catch (error) {
      this.failed(error)
    }
  }

  async #write(): Promise<void> {
    if (this.#isWriting) return
    this.#isWriting = true
    try {
      const text = await this.text()
      if (!this.#isStopped) replaceFile(this.file, text, { prepare: descriptor => fs.fchmodSync(descriptor, mode) })
    } catch (error) {
      this.failed(error)
    } finally {
      this.#isWriting = false
    }
  }
}
