/**
 * Reads files of keys that may be on a file system that does not answer, such as the home directory on a server that is down.
 * Such a read cannot be taken back, and keeps one of the few threads in which Node reads files and verifies signatures, so
 * only so many may hang at a time.
 */
import type { KeyFile, KeyPath } from '../../config/index.js'
import { oneLine } from '../../util/index.js'

/** Undefined where the file is as it was at `known`. Never rejects. */
export type ReadKeyFile = (file: KeyPath, known?: string) => Promise<KeyFile | undefined>

/** A disk that sleeps needs some seconds. */
const patienceMilliseconds = 3000
/** Of the four threads that Node has, one is always left. */
const mostHanging = 3
/** What the machine itself has can still be read when the homes of many users hang. */
const mostHangingHomes = 2

export class PatientReads {
  /** The files whose reads have not come back. */
  readonly #hanging = new Map<string, KeyPath>()

  constructor(readonly readFile: ReadKeyFile) {}

  /** A file that does not come in time does not count. It is not read again until the earlier read has come back. */
  readonly read: ReadKeyFile = async (file, known) => {
    const name = keyFileId(file)
    if (this.#hanging.has(name)) return refusal(file, 'its file system does not answer', known)
    if (this.#isFull(file)) return refusal(file, 'the file systems of other files do not answer', known)
    const reading = this.readFile(file, known)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<'late'>(resolve => (timer = setTimeout(resolve, patienceMilliseconds, 'late')))
    const outcome = await Promise.race([reading, late])
    clearTimeout(timer)
    if (outcome !== 'late') return outcome
    this.#hanging.set(name, file)
    void reading.finally(() => this.#hanging.delete(name))
    return refusal(file, 'its file system does not answer', known)
  }

  #isFull({ user }: KeyPath): boolean {
    const homes = [...this.#hanging.values()].filter(file => file.user !== null).length
    return this.#hanging.size >= mostHanging || (user !== null && homes >= mostHangingHomes)
  }
}

/** By user and path. */
export const keyFileId = ({ user, path }: KeyPath) => `${user ?? ''}:${path}`

function refusal({ written }: KeyPath, why: string, known: string | undefined): KeyFile | undefined {
  const content = `${oneLine(written)} cannot be read: ${why}`
  const stamp = `refused: ${content}`
  return stamp === known ? undefined : { stamp, content }
}
