/**
 * A change of the services that is not confirmed yet, in a file beside the configuration, where only root can write. In the
 * boot in which it was made, a process waits to roll it back: see src/safety/rollback.ts. A restart ends that process. The
 * file outlives it, so that after a restart without a confirmation the services are what they were before the change.
 */
import { randomUUID } from 'node:crypto'
import * as fs from 'node:fs'
import * as path from 'node:path'
import type { ServiceSpec } from '../nft/index.js'
import { createFile, privateMode, removeFile, replaceFile, rollbackDirectory, shareFile } from '../util/index.js'

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

export interface WrittenChange extends UnconfirmedChange {
  /** The boot in which it was made, as the kernel names it. */
  readonly boot: string
  /** Tells it from all others that were written. */
  readonly mark: string
  /** The process of the command that wrote it. */
  readonly writer: string
}

/** It has no secret: services, and lines of authorized keys. */
const publicMode = 0o644

const fileOf = (config: string) => `${path.resolve(config)}.unconfirmed`

/**
 * Returns the mark of what is written. Those who can read the configuration can read it. Throws the system's error: EEXIST where
 * another command has written a change and still runs, also at the same moment. `mine` is the mark of one that gives way.
 */
export function writeUnconfirmed(config: string, change: UnconfirmedChange, mine?: string): string {
  const file = fileOf(config)
  const mark = randomUUID()
  const written: WrittenChange = { boot: bootId(), mark, writer: processName(process.pid) ?? '', ...change }
  const prepare = (handle: number, directory: string) => {
    const there = fs.statSync(config, { throwIfNoEntry: false })
    shareFile(handle, directory, there ?? fs.statSync(directory))
    // The daemon that reads a configuration as one of all others would otherwise not know what to leave out.
    if (there && (there.mode & 0o004) !== 0) fs.fchmodSync(handle, publicMode)
  }
  const options = { mode: privateMode, sync: true, prepare }
  const text = `${JSON.stringify(written)}\n`
  // What cannot be read is of no change, and gives way, as that of an earlier boot does, and what was left behind.
  if (fs.existsSync(file) && !isMarkedByAnother(config, mine)) replaceFile(file, text, options)
  else createFile(file, text, { ...options, temporary: `${file}.${process.pid}.new` })
  return mark
}

/** Whether a change other than that with the mark `mine` is being made. Throws the system's error. */
export function isMarkedByAnother(config: string, mine: string | undefined): boolean {
  const written = readUnconfirmed(config)
  if (written?.boot !== bootId() || written.mark === mine) return false
  return processName(Number.parseInt(written.writer)) === written.writer
}

/** Whether a change of this boot is written. Throws the system's error. */
export const isWritten = (config: string): boolean => readUnconfirmed(config)?.boot === bootId()

/** The number of a process, and when it started, in clock ticks since the boot; undefined where there is none. */
function processName(pid: number): string | undefined {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name of the program can have spaces and parentheses: proc_pid_stat(5).
    return `${pid} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`
  } catch {
    return undefined
  }
}

/** Removes the change with this mark; one of another command stays. */
export function removeUnconfirmed(config: string, mark: string | undefined): void {
  if (mark !== undefined && readUnconfirmed(config)?.mark === mark) removeFile(fileOf(config))
}

/** The change that waited when the machine restarted; undefined where there is none. Throws the system's error. */
export function outlivedChange(config: string): WrittenChange | undefined {
  const written = readUnconfirmed(config)
  // In a container, the kernel and its boot go on; the process that waited has made its directory in /run.
  const isOfThisBoot = written?.boot === bootId() && fs.existsSync(rollbackDirectory)
  return isOfThisBoot ? undefined : written
}

/** A change of any boot; one of this boot may still have its process. Throws the system's error. */
export const writtenChange = (config: string): WrittenChange | undefined => readUnconfirmed(config)

function readUnconfirmed(config: string): WrittenChange | undefined {
  try {
    return JSON.parse(fs.readFileSync(fileOf(config), 'utf8')) as WrittenChange
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
