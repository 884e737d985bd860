/** The file system as the loader sees it; tests have one of their own. */
import * as fs from 'node:fs'
import { readOwned } from '../util/index.js'
import { daemonUser } from './daemon-user.js'

/** What the loader needs of a file system. Each function throws what node:fs would. */
export interface ConfigReader {
  readFile(file: string): Buffer
  /** Of a directory that may belong to the daemon's user, who leads root nowhere by a link, nor lets root wait at a pipe. */
  readOwned(file: string): Buffer
  readDirectory(directory: string): string[]
  /** Throws where this process may not write it. */
  canWrite(file: string): void
  stat(file: string): { readonly mode: number; readonly size: number; readonly gid: number; isFile(): boolean }
  /** The group in which the daemon reads its keys, where it has a user of its own. */
  readonly daemonGroup: number | undefined
}

export const nodeReader: ConfigReader = {
  readFile: file => fs.readFileSync(file),
  readOwned,
  readDirectory: directory => fs.readdirSync(directory),
  stat: file => fs.statSync(file),
  canWrite: file => fs.accessSync(file, fs.constants.W_OK),
  get daemonGroup() {
    return process.geteuid?.() === 0 ? daemonUser()?.gid : process.getegid?.()
  },
}
