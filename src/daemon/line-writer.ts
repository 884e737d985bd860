/** Appends lines to a file whose disk can be full in the middle of one. */
import * as fs from 'node:fs'

export class LineWriter {
  #isTorn: boolean

  /** `isTorn`: the file may end in the middle of a line. The descriptor stays the caller's. */
  constructor(
    readonly descriptor: number,
    isTorn = false,
  ) {
    this.#isTorn = isTorn
  }

  /** Throws the system's error; a part of the line may be written then, and does not damage the next one. */
  write(line: string): void {
    const rest = Buffer.from(this.#isTorn ? `\n${line}` : line)
    let written = 0
    try {
      while (written < rest.length) written += fs.writeSync(this.descriptor, rest, written)
      this.#isTorn = false
    } catch (error) {
      this.#isTorn ||= written > 0
      throw error
    }
  }
}
