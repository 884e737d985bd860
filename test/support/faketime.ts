/** The library of faketime, by which a program sees another time. */
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'

/** Empty where there is none. The package says where it is: below a directory of the architecture. */
function findLibrary(): string {
  const listed = spawnSync('dpkg', ['-L', 'libfaketime'], { encoding: 'utf8' })
  const files = listed.status === 0 ? listed.stdout.split('\n') : []
  return files.find(file => file.endsWith('/libfaketime.so.1') && fs.existsSync(file)) ?? ''
}

export const fakeTimeLibrary = findLibrary()
