/**
 * Who may read a new file that holds secrets: its owner, and a group only where somebody meant it to. The daemon of the
 * packages is no root, and reads what its group may.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'

/** For the owner alone. Who shares it opens it to a group afterwards, when it belongs to that. */
export const privateMode = 0o600
const groupMode = 0o640

/**
 * Lets the group read a new file that was opened with `privateMode`, if it is shared: as the file that it takes the place
 * of was, or else as its directory is. Tells whether it is.
 */
export function shareFile(handle: number, file: string, replaced?: fs.Stats): boolean {
  const isShared = replaced ? takesGroupOf(handle, replaced) : isOfSharedDirectory(handle, file)
  if (isShared) fs.fchmodSync(handle, groupMode)
  return isShared
}

/** A directory that hands its group on (setgid) and is shut to others, as the packages make it, is shared on purpose. */
function isOfSharedDirectory(handle: number, file: string): boolean {
  const { mode, gid } = fs.statSync(path.dirname(file))
  return (mode & 0o2000) !== 0 && (mode & 0o007) === 0 && gid !== 0 && fs.fstatSync(handle).gid === gid
}

function takesGroupOf(handle: number, replaced: fs.Stats): boolean {
  try {
    if (fs.fstatSync(handle).gid !== replaced.gid) fs.fchownSync(handle, -1, replaced.gid)
  } catch {
    // We are not of that group. The file then stays our own.
    return false
  }
  return wasGivenToGroup(replaced)
}

/** What everybody could read, and belongs to the group of whoever writes it anew, is so by a umask and by nobody's will. */
function wasGivenToGroup({ mode, gid }: fs.Stats): boolean {
  return (mode & 0o040) !== 0 && ((mode & 0o007) === 0 || gid !== process.getegid?.())
}
