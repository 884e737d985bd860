/**
 * One change at a time: each reads the ruleset, decides, and writes, and two at once (cron and Ansible, say) would
 * undo each other's. The kernel keeps the lock (flock(2)) on a descriptor of ours, and frees it however we end. The file
 * says who has it, for the message of those who wait in vain. Its second line is another note: see table-note.ts.
 */
import { spawn } from 'node:child_process'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { inDirectory, makeOwnedDirectory, openThere } from '../util/index.js'
import { noteIn, noTable, writeLines } from './table-note.js'

/**
 * Runs `work` while no other process that uses the same file runs its own. Rejects with a LockError when it has waited for
 * `seconds` in vain.
 */
export type Exclusive = <T>(work: () => Promise<T>, seconds?: number) => Promise<T>

/** Longer than a program of the holder may hang. */
const waitSeconds = 40
/** flock(1) itself may be stopped. */
const spareSeconds = 2
/** After this, `onWait` is told. */
const patienceMilliseconds = 5000

/** Another program has had the lock for too long. */
export class LockError extends Error {
  override readonly name = 'LockError'
}

/** Gets who has the lock, when it is not to be had soon. */
type OnWait = (holder: string) => void

/** Locks an open file where that needs no waiting; false where it does. */
export type LockAtOnce = (descriptor: number) => boolean

/**
 * The lock of this network namespace, which has a ruleset of its own: the file in `directory` is named after the number by
 * which the kernel knows it.
 */
export function rulesetLock(directory: string, onWait?: OnWait, lockAtOnce?: LockAtOnce): Exclusive {
  return fileLock(rulesetLockFile(directory), onWait, lockAtOnce)
}

export const rulesetLockFile = (directory: string): string => path.join(directory, `ruleset-${rulesetNumber()}.lock`)

/** The number of this network namespace. */
export const rulesetNumber = (): string => /\d+/.exec(fs.readlinkSync('/proc/self/ns/net'))?.[0] ?? ''

/** Without `lockAtOnce`, flock(1) locks also what is free. */
export function fileLock(file: string, onWait?: OnWait, lockAtOnce?: LockAtOnce): Exclusive {
  return async (work, seconds = waitSeconds) => {
    const release = await acquire(file, seconds, onWait, lockAtOnce)
    try {
      return await work()
    } finally {
      release()
    }
  }
}

async function acquire(
  file: string,
  seconds: number,
  onWait: OnWait | undefined,
  lockAtOnce: LockAtOnce | undefined,
): Promise<() => void> {
  const opened = openLock(file)
  if (opened === undefined) return () => undefined
  const { descriptor, isNew } = opened
  const late = setTimeout(() => onWait?.(holder(descriptor)), patienceMilliseconds)
  try {
    if (!lockAtOnce?.(descriptor)) await lock(descriptor, file, seconds)
  } catch (error) {
    fs.closeSync(descriptor)
    throw error
  } finally {
    clearTimeout(late)
  }
  const who = `${path.basename(process.argv[1] ?? '', '.js')} ${process.pid} ${new Date().toISOString()}`
  writeLines(descriptor, who, isNew ? noTable() : noteIn(descriptor))
  return () => {
    writeLines(descriptor, '', noteIn(descriptor))
    fs.closeSync(descriptor)
  }
}

/** flock(1) locks what was opened here, and the lock outlives it. */
function lock(descriptor: number, file: string, seconds: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const limits = { timeout: (seconds + spareSeconds) * 1000, killSignal: 'SIGKILL' } as const
    const stdio = ['ignore', 'ignore', 'ignore', descriptor] as const
    const child = spawn('flock', ['--wait', String(seconds), '3'], { stdio: [...stdio], ...limits })
    child.on('error', cause => {
      reject(new Error('there is no flock program: install the package util-linux', { cause }))
    })
    child.on('exit', status => {
      if (status === 0) resolve()
      else reject(new LockError(`${holder(descriptor)}; waited ${seconds} s for the lock ${file}`))
    })
  })
}

/** What the file says, which any program of pkctl may have written. */
function holder(descriptor: number): string {
  const buffer = Buffer.alloc(100)
  const text = buffer.toString('latin1', 0, fs.readSync(descriptor, buffer, 0, buffer.length, 0))
  const [, program, pid, since] = /^([\w.-]{1,32}) (\d{1,10}) (\d{4}-[\dT:.-]+Z)\n/.exec(text) ?? []
  // One that was killed has left its note.
  if (program === undefined || !isAlive(Number(pid))) return 'another program is changing the ruleset'
  return `${program}, process ${pid}, has been changing the ruleset since ${since}`
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants

interface OpenLock {
  readonly descriptor: number
  /** There was no such file. */
  readonly isNew: boolean
}

/** Undefined for those who have no need of it, because nft will refuse them. */
function openLock(file: string): OpenLock | undefined {
  try {
    makeOwnedDirectory(path.dirname(file), 0o755)
    return inDirectory(file, openOrMake)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'EACCES' && code !== 'EPERM') throw error
    // Root that a file system refuses is root of a container, whose ruleset no other process shares.
    if (process.geteuid?.() === 0 || !mayChangeRules()) return undefined
    const { gid } = fs.statSync(path.dirname(file))
    throw new Error(`no right to lock ${file}, as root: chgrp ${gid} ${file}; chmod 660 ${file}`, { cause: error })
  }
}

/**
 * The daemon has a user of its own, and the directory is that user's: what root makes there must be open to the daemon,
 * and a link or another file that the daemon put there must lead root nowhere.
 */
function openOrMake(file: string): OpenLock {
  try {
    const descriptor = fs.openSync(file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
    const { uid, gid } = fs.statSync(path.dirname(file))
    if (process.geteuid?.() === 0) fs.fchownSync(descriptor, uid, gid)
    fs.fchmodSync(descriptor, 0o660)
    return { descriptor, isNew: true }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return { descriptor: openThere(file, O_RDWR), isNew: false }
  }
}

const netAdmin = 1n << 12n

function mayChangeRules(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(fs.readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'
  return (BigInt(`0x${effective}`) & netAdmin) !== 0n
}
