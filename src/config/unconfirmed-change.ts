/**
 * A change of the services that is not confirmed yet, in a file beside the configuration, where only root can write. In the
 * boot in which it was made, a process waits to roll it back: see src/safety/rollback.ts. A restart ends that process. The
 * file outlives it, so that after a restart without a confirmation the services are what they were before the change.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import type { ServiceSpec } from '../nft/index.js'
import { createFile, privateMode, replaceFile, rollbackDirectory, shareFile } from '../util/index.js'

/** A file as it was before the change. */
export interface EarlierFile {
  readonly path: string
  /** null where there was none. */
  readonly text: string | null
  /** What the change made of it; where it is given, another text is left as it is. */
  readonly written?: string
}

/** Units of systemd that the change enables and starts. */
export interface ChangedUnits {
  readonly enabled: readonly string[]
  readonly started: readonly string[]
}

export interface UnconfirmedChange {
  /** Services that it alters or removes, as they were. */
  readonly services: readonly ServiceSpec[]
  /** Names of those that it adds. */
  readonly added: readonly string[]
  readonly files: readonly EarlierFile[]
  readonly units: ChangedUnits
}

interface Written extends UnconfirmedChange {
  /** The boot in which it was made, as the kernel names it. */
  readonly boot: string
}

/** It has no secret: services, and lines of authorized keys. */
const publicMode = 0o644

const fileOf = (config: string) => `${path.resolve(config)}.unconfirmed`

/**
 * Those who can read the configuration can read it. Throws the system's error: EEXIST where it is to be the `first` and another
 * command has written one, also at the same moment.
 */
export function writeUnconfirmed(config: string, change: UnconfirmedChange, how: 'first' | 'next' = 'next'): void {
  const file = fileOf(config)
  const written: Written = { boot: bootId(), ...change }
  const prepare = (handle: number) => {
    const there = fs.statSync(config, { throwIfNoEntry: false })
    shareFile(handle, file, there ?? fs.statSync(path.dirname(file)))
    // The daemon that reads a configuration as one of all others would otherwise not know what to leave out.
    if (there && (there.mode & 0o004) !== 0) fs.fchmodSync(handle, publicMode)
  }
  const options = { mode: privateMode, sync: true, prepare }
  const text = `${JSON.stringify(written)}\n`
  // What cannot be read is of no change, and gives way.
  if (how === 'next' || (fs.existsSync(file) && readUnconfirmed(config) === undefined)) replaceFile(file, text, options)
  else createFile(file, text, { ...options, temporary: `${file}.${process.pid}.new` })
}

export function removeUnconfirmed(config: string): void {
  fs.rmSync(fileOf(config), { force: true })
}

/** The change that waited when the machine restarted; undefined where there is none. Throws the system's error. */
export function outlivedChange(config: string): UnconfirmedChange | undefined {
  const written = readUnconfirmed(config)
  // In a container, the kernel and its boot go on; the process that waited has made its directory in /run.
  const isOfThisBoot = written?.boot === bootId() && fs.existsSync(rollbackDirectory)
  return isOfThisBoot ? undefined : written
}

/** A change of any boot; one of this boot may still have its process. Throws the system's error. */
export const writtenChange = (config: string): UnconfirmedChange | undefined => readUnconfirmed(config)

function readUnconfirmed(config: string): Written | undefined {
  try {
    return JSON.parse(fs.readFileSync(fileOf(config), 'utf8')) as Written
  } catch (error) {
    // It is written as a whole or not at all.
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

const bootId = () => fs.readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()

/** The services without the change. */
export function withoutChange(
  services: readonly ServiceSpec[],
  { services: earlier, added }: UnconfirmedChange,
): ServiceSpec[] {
  const altered = new Set([...added, ...earlier.map(({ name }) => name)])
  return [...services.filter(({ name }) => !altered.has(name)), ...earlier]
}
