/**
 * Who may read a new file with secrets: its owner, and a group only where that is intended. The daemon of the packages
 * does not run as root, and reads such files by its group.
 */
import * as fs from 'node:fs'

/** For the owner alone. `shareFile` opens it to a group afterwards, when it belongs to that group. */
export const privateMode = 0o600
const groupMode = 0o640

/**
 * Makes a new file with `privateMode` readable to its group, if it is shared: as the file that it replaces, or else as its
 * `directory`. Returns whether it is shared.
 */
export function shareFile(handle: number, directory: string, replaced?: fs.Stats): boolean {
  const isShared = replaced ? takesGroupOf(handle, replaced) : isOfSharedDirectory(handle, directory)
  if (isShared) fs.fchmodSync(handle, groupMode)
  return isShared
}

/** A setgid directory without access for others, as the packages create it, is shared on purpose. */
function isOfSharedDirectory(handle: number, directory: string): boolean {
  const { mode, gid } = fs.statSync(directory)
  return (mode & 0o2000) !== 0 && (mode & 0o007) === 0 && gid !== 0 && fs.fstatSync(handle).gid === gid
}

function takesGroupOf(handle: number, replaced: fs.Stats): boolean {
  try {
    if (fs.fstatSync(handle).gid !== replaced.gid) fs.fchownSync(handle, -1, replaced.gid)
  } catch {
    // The process is no member of that group. The file stays private.
    return false
  }
  return wasGivenToGroup(replaced)
}

/** A file that others can read too, and that has the group of the process, is so because of a umask: not on purpose. */
function wasGivenToGroup({ mode, gid }: fs.Stats): boolean {
  return (mode & 0o040) !== 0 && ((mode & 0o007) === 0 || gid !== process.getegid?.())
}
