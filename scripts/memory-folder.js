// A folder for the temporary files of the tests in memory, where there is room for it: on some file systems of disks, each write
// to a file that is there already takes two milliseconds.
import { execFileSync } from 'node:child_process'
import { accessSync, chmodSync, constants, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

const tmpfs = 0x01021994
const neededBytes = 2 ** 30

/** Sets TMPDIR for all that is started from here, until the process ends. Nothing is set where the folder at hand is in memory. */
export function useMemoryFolder(parent = '/dev/shm') {
  if (!isRoomy(parent) || statfsSync(tmpdir()).type === tmpfs) return
  const folder = mkdtempSync(path.join(parent, 'pkctl-tests-'))
  if (!runsPrograms(folder)) {
    rmSync(folder, { recursive: true })
    return
  }
  // As /tmp: some tests have users of their own.
  chmodSync(folder, 0o1777)
  process.env['TMPDIR'] = folder
  process.once('exit', () => {
    execFileSync('rm', ['-rf', '--one-file-system', folder], { stdio: 'inherit' })
  })
}

/** Not where it is mounted with noexec, as in containers. */
function runsPrograms(folder) {
  const file = path.join(folder, 'program')
  writeFileSync(file, '', { mode: 0o755 })
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  } finally {
    rmSync(file)
  }
}

function isRoomy(folder) {
  try {
    accessSync(folder, constants.W_OK)
    const { type, bavail, bsize } = statfsSync(folder)
    return type === tmpfs && bavail * bsize >= neededBytes
  } catch {
    return false
  }
}
