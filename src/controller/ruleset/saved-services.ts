/**
 * The services of the last valid configuration, kept in the state directory: `pkctl close` closes them at the next boot,
 * also when the configuration cannot be read by then.
 */
import * as path from 'node:path'
import type { ServiceSpec } from '../../nft/index.js'
import { giveToOwner, makeOwnedDirectory, readOwned, replaceFile } from '../../util/index.js'
import { isService } from '../packets/is-service.js'

const name = 'services.json'

/** Throws the system's error when they cannot be saved; the copy from before is then unchanged. */
export function saveServices(directory: string, services: readonly ServiceSpec[]): void {
  const file = path.join(directory, name)
  const text = `${JSON.stringify({ services }, null, 2)}\n`
  if (readText(file) === text) return
  makeOwnedDirectory(directory)
  replaceFile(file, text, {
    sync: true,
    // What root writes must stay readable to the daemon.
    prepare: giveToOwner,
  })
}

/** The copy as it is, for a change that may be rolled back; `text` is null where there is none. */
export function savedCopy(directory: string): { path: string; text: string | null } {
  const file = path.join(directory, name)
  return { path: file, text: readText(file) ?? null }
}

/** Undefined when there is no copy, or when it is damaged. Of a copy that is damaged in part, the rest. */
export function savedServices(directory: string): readonly ServiceSpec[] | undefined {
  try {
    const { services } = JSON.parse(readText(path.join(directory, name)) ?? '') as { services?: unknown }
    return Array.isArray(services) ? services.filter(isService) : undefined
  } catch {
    return undefined
  }
}

function readText(file: string): string | undefined {
  try {
    return readOwned(file).toString('utf8')
  } catch {
    return undefined
  }
}
