/** The text of a file or of stdin, within bounds. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { decodeText, expandHome, oneLine, readNamed, reasonOf, UserError } from '../util/index.js'

const maxBytes = 1024 * 1024
/** What messages call the file. */
export const inputName = (file: string) => (file === '-' ? 'stdin' : file)

export function readText(file: string): string {
  const about = oneLine(inputName(file))
  let bytes: Buffer
  try {
    bytes = readBytes(file)
  } catch (error) {
    if (error instanceof UserError) throw error
    throw new UserError(`${about} cannot be read: ${reasonOf(error)}`)
  }
  const text = decodeText(bytes)
  if (text === undefined) throw new UserError(`${about} is not UTF-8 text`, 'iconv -f LATIN1 -t UTF-8 makes it so')
  if (text.includes('\0')) throw new UserError(`${about} is not text`)
  return text
}

/** The text of another file in the directory of that one; undefined where there is none. */
export function readBeside(file: string, name: string): string | undefined {
  if (file === '-') return undefined
  const beside = path.join(path.dirname(expandHome(file)), name)
  return fs.existsSync(beside) ? readText(beside) : undefined
}

/** A file that an input names: not a pipe or a device, which may block or never end. */
export const readRegularFile = (file: string): Buffer => readNamed(file, maxBytes)

/** Reads up to a limit, so that input without end is refused, too. */
function readBytes(file: string): Buffer {
  const handle = file === '-' ? 0 : fs.openSync(expandHome(file), 'r')
  try {
    const buffer = Buffer.alloc(maxBytes + 1)
    let length = 0
    for (;;) {
      const count = readSome(handle, buffer, length)
      length += count
      if (count === 0) return buffer.subarray(0, length)
      if (length > maxBytes) throw new UserError(`${oneLine(inputName(file))} is larger than 1 MiB`)
    }
  } finally {
    if (handle !== 0) fs.closeSync(handle)
  }
}

function readSome(handle: number, buffer: Buffer, at: number): number {
  for (;;) {
    try {
      return fs.readSync(handle, buffer, at, buffer.length - at, null)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EOF') return 0
      // A terminal may be in non-blocking mode.
      if (code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
    }
  }
}
