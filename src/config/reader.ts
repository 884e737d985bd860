/** The file system as the loader sees it; tests have one of their own. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { openNamedToRead, readNamed, readOwned } from '../util/index.js'
import { daemonUser } from './daemon-user.js'

interface FileState {
  readonly mode: number
  readonly size: number
  readonly gid: number
  isFile(): boolean
}

/** What the loader needs of a file system. Each function throws what node:fs would. */
export interface ConfigReader {
  /** Of the configuration, at most `maxBytes` and one more. */
  readFile(file: string, maxBytes: number): Buffer
  /** A whole regular file of at most `maxBytes` that the configuration names. Root follows no link of another user. */
  readNamed(file: string, maxBytes: number): Buffer
  /** Of a directory that may belong to the daemon's user, who leads root nowhere by a link, nor lets root wait at a pipe. */
  readOwned(file: string): Buffer
  /**
   * What the file is and what is in it, at most `maxBytes`: of one file, whatever its name leads to a moment later. Nothing is
   * read unless it is a regular file.
   */
  readChecked(file: string, maxBytes: number): { readonly stat: FileState; readonly bytes: Buffer }
  readDirectory(directory: string): string[]
  /** Throws where this process may not write it. */
  canWrite(file: string): void
  stat(file: string): FileState
  /** The group in which the daemon reads its keys, where it has a user of its own. */
  readonly daemonGroup: number | undefined
}

export const nodeReader: ConfigReader = {
  readFile: readConfiguration,
  readNamed,
  readOwned,
  readChecked,
  readDirectory: directory => fs.readdirSync(directory),
  stat: file => fs.statSync(file),
  canWrite: file => fs.accessSync(file, fs.constants.W_OK),
  get daemonGroup() {
    return process.geteuid?.() === 0 ? daemonUser()?.gid : process.getegid?.()
  },
}

/** The same, and notes in `files` what it reads. */
export function notingReader(files: string[]): ConfigReader {
  const note = (file: string) => void files.push(path.resolve(file))
  return {
    ...nodeReader,
    readFile: (file, maxBytes) => (note(file), nodeReader.readFile(file, maxBytes)),
    readNamed: (file, maxBytes) => (note(file), nodeReader.readNamed(file, maxBytes)),
    readOwned: file => (note(file), nodeReader.readOwned(file)),
    readChecked: (file, maxBytes) => (note(file), nodeReader.readChecked(file, maxBytes)),
  }
}

/** What the shell gives for `<(…)`, and stdin: who types them means to wait. */
const isTyped = (file: string) => /^\/(dev\/(stdin|fd\/\d+)|proc\/(self|\d+)\/fd\/\d+)$/.test(file)

function readConfiguration(file: string, maxBytes: number): Buffer {
  const descriptor = fs.openSync(file, fs.constants.O_RDONLY | (isTyped(file) ? 0 : fs.constants.O_NONBLOCK))
  try {
    const stat = fs.fstatSync(descriptor)
    if (stat.isDirectory()) throw Object.assign(new Error('it is a directory'), { code: 'EISDIR' })
    if (!stat.isFile() && !isTyped(file)) throw new Error('it is not a regular file')
    return readUpTo(descriptor, maxBytes + 1)
  } finally {
    fs.closeSync(descriptor)
  }
}

function readUpTo(descriptor: number, maxBytes: number): Buffer {
  const bytes = Buffer.alloc(maxBytes)
  let length = 0
  for (let read = -1; read !== 0 && length < maxBytes; length += read) {
    read = fs.readSync(descriptor, bytes, length, maxBytes - length, null)
  }
  return bytes.subarray(0, length)
}

function readChecked(file: string, maxBytes: number): { stat: fs.Stats; bytes: Buffer } {
  const descriptor = openNamedToRead(file)
  try {
    const stat = fs.fstatSync(descriptor)
    const bytes = Buffer.alloc(stat.isFile() ? Math.min(stat.size, maxBytes) : 0)
    return { stat, bytes: bytes.subarray(0, fs.readSync(descriptor, bytes, 0, bytes.length, 0)) }
  } finally {
    fs.closeSync(descriptor)
  }
}
