/** What a change did outside of the ruleset, undone: files of the configuration, and units of systemd. */
import * as fs from 'node:fs'
import { basename, join } from 'node:path'
import type { ChangedUnits, EarlierFile } from '../config/unconfirmed-change.js'
import { ask, execute, readNamed, removeFile, replaceFile } from '../util/index.js'

/** Then lets the daemon, if it still runs, know. Throws the system's error where a file cannot be restored. */
export async function undoAround(
  { files, units }: { readonly files: readonly EarlierFile[]; readonly units: ChangedUnits },
  daemonSocket: string,
): Promise<void> {
  restoreFiles(files)
  await restoreUnits(units)
  // What the daemon has read from files that are gone must not count any more, either.
  const wasReloaded = files.length > 0 && (await tell(daemonSocket, 'reload'))
  if (!wasReloaded) await tell(daemonSocket, 'refresh')
}

const tell = (socket: string, request: string): Promise<boolean> =>
  ask(socket, { request }).then(
    ({ ok }) => ok,
    () => false,
  )

/** Gives each file that the change altered the text that it had. Throws the system's error. */
export function restoreFiles(files: readonly EarlierFile[]): void {
  for (const file of files) {
    const { path, text } = file
    const there = fs.lstatSync(path, { throwIfNoEntry: false })
    if (!isToRestore(file, there)) continue
    if (text === null) removeFile(path)
    else
      replaceFile(path, text, {
        sync: true,
        prepare(handle, directory) {
          const there = fs.lstatSync(join(directory, basename(path)), { throwIfNoEntry: false })
          if (!there?.isFile()) return
          fs.fchownSync(handle, there.uid, there.gid)
          fs.fchmodSync(handle, there.mode & 0o777)
        },
      })
  }
}

const maxBytes = 16 * 1024 * 1024

/** A user who was added or revoked meanwhile stays so. */
function isToRestore({ path, text, written }: EarlierFile, there: fs.Stats | undefined): boolean {
  if (written === undefined && (text === null || !there)) return true
  // A link is not replaced by what it leads to.
  if (!there?.isFile()) return false
  const now = readNamed(path, maxBytes).toString()
  return now !== text && (written === undefined || now === written)
}

const unitMilliseconds = 30_000

/** Where systemd refuses, the units stay: without a configuration, they do nothing. */
async function restoreUnits({ enabled, started }: ChangedUnits): Promise<void> {
  for (const [verb, units] of [
    ['disable', enabled],
    ['stop', started],
  ] as const) {
    if (units.length === 0) continue
    await execute('systemctl', [verb, ...units], '', { milliseconds: unitMilliseconds }).catch(() => undefined)
  }
}
