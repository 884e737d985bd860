/** A file, and who may write it or any directory on the way to it. */
import * as fs from 'node:fs'
import path from 'node:path'
import type { FileFacts, Owned } from '../facts.js'

interface More {
  readonly credential?: string
  readonly holdsSecrets?: boolean
}

export function fileFacts(
  file: string,
  what: FileFacts['what'],
  { holdsSecrets = false, ...more }: More = {},
): FileFacts {
  const own = owned(file)
  const runs = what !== 'program' || isExecutable(file)
  // A link depends on the directories above itself and on those above its target.
  const places = [...new Set([file, real(file)].flatMap(ancestors))]
  return {
    ...own,
    path: file,
    what,
    ...more,
    usable: own !== undefined && runs,
    holdsSecrets,
    components: places.flatMap(place => owned(place) ?? []),
    inside: inside(file).flatMap(name => owned(path.join(file, name), fs.lstatSync) ?? []),
  }
}

function inside(directory: string): string[] {
  try {
    return fs.readdirSync(directory)
  } catch {
    return []
  }
}

function owned(file: string, stat: (file: string) => fs.Stats = fs.statSync): Owned | undefined {
  try {
    const { mode, uid, gid } = stat(file)
    return { path: file, mode, uid, gid }
  } catch {
    return undefined
  }
}

function isExecutable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK)
    return fs.statSync(file).isFile()
  } catch {
    return false
  }
}

function real(file: string): string {
  try {
    return fs.realpathSync(file)
  } catch {
    return file
  }
}

function ancestors(file: string): string[] {
  const above = path.dirname(file)
  return above === file ? [file] : [file, ...ancestors(above)]
}
