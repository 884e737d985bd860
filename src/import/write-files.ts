/** Files that an import makes, readable by their owner alone unless they are shared on purpose. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import type { TemporaryFile } from '../util/index.js'
import { oneLine, privateMode, reasonOf, shareFile, UserError, writeTemporary } from '../util/index.js'

interface NewFile {
  readonly path: string
  readonly content: string
}

/** Writes all of them or none, as far as that can be known before. */
export function writeFiles(files: readonly NewFile[], force: boolean): void {
  const temporary = files.map(file => ({ ...file, at: `${file.path}.new-${process.pid}` }))
  const written: TemporaryFile[] = []
  try {
    for (const { path: file, content, at } of temporary) {
      const prepare = (descriptor: number, directory: string) => {
        const there = fs.lstatSync(path.join(directory, path.basename(file)), { throwIfNoEntry: false })
        if (there && !force) throw Object.assign(new Error(), { code: 'EEXIST', path: file })
        // To replace a device such as /dev/null would harm other programs.
        if (there && !there.isFile() && !there.isSymbolicLink())
          throw Object.assign(new Error('it is no regular file'), { path: file })
        // The target of a link is not replaced, and its mode does not matter.
        shareFile(descriptor, directory, there?.isFile() ? there : undefined)
      }
      written.push(writeTemporary(file, content, { mode: privateMode, sync: true, temporary: at, prepare }))
    }
    for (const next of written) {
      if (force) next.replace()
      else next.create()
    }
  } catch (error) {
    throw explained(error as NodeJS.ErrnoException & { dest?: string }, temporary)
  } finally {
    for (const next of written) {
      fs.closeSync(next.descriptor)
      next.discard()
    }
  }
}

function explained(
  error: NodeJS.ErrnoException & { dest?: string },
  files: readonly (NewFile & { at: string })[],
): UserError {
  const named = error.dest ?? error.path ?? ''
  const file = oneLine(files.find(({ at }) => at === named)?.path ?? named)
  if (error.code === 'EEXIST')
    return new UserError(`${file} is there already`, 'take another name, or add --force to overwrite it')
  const directory = path.dirname(file)
  if (error.code === 'ENOENT')
    return new UserError(`there is no directory ${directory}`, `mkdir -p -m 700 ${directory}`)
  return new UserError(`${file} cannot be written: ${reasonOf(error)}`)
}
