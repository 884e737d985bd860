/**
 * One change at a time: each reads the ruleset, decides, and writes, and two at once (cron and Ansible, say) would
 * undo each other's. The kernel keeps the lock (flock(2)) on a descriptor of ours, and frees it however we end.
 */
import { spawn } from 'node:child_process'
import * as fs from 'node:fs'
import * as path from 'node:path'

/** Runs `work` while no other process that uses the same file runs its own. */
export type Exclusive = <T>(work: () => Promise<T>) => Promise<T>

const waitSeconds = 30

export function fileLock(file: string): Exclusive {
  return async work => {
    const release = await acquire(file)
    try {
      return await work()
    } finally {
      release()
    }
  }
}

async function acquire(file: string): Promise<() => void> {
  const descriptor = openLock(file)
  if (descriptor === undefined) return () => undefined
  const release = () => {
    fs.closeSync(descriptor)
  }
  try {
    await lock(descriptor, file)
  } catch (error) {
    release()
    throw error
  }
  return release
}

/** flock(1) locks what was opened here, and the lock outlives it. */
function lock(descriptor: number, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const args = ['--wait', String(waitSeconds), '3']
    const child = spawn('flock', args, { stdio: ['ignore', 'ignore', 'ignore', descriptor] })
    child.on('error', cause => {
      reject(new Error('there is no flock program: install the package util-linux', { cause }))
    })
    child.on('exit', status => {
      if (status === 0) resolve()
      else reject(new Error(`another pkctl has been changing the ruleset for ${waitSeconds} s (lock ${file})`))
    })
  })
}

const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants

/** Undefined for those who have no need of it, because nft will refuse them. */
function openLock(file: string): number | undefined {
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o755 })
    return openOrMake(file)
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
 * and a link that the daemon put there must lead root nowhere.
 */
function openOrMake(file: string): number {
  try {
    const descriptor = fs.openSync(file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
    const { uid, gid } = fs.statSync(path.dirname(file))
    if (process.geteuid?.() === 0) fs.fchownSync(descriptor, uid, gid)
    fs.fchmodSync(descriptor, 0o660)
    return descriptor
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return fs.openSync(file, O_RDWR | O_NOFOLLOW)
  }
}

const netAdmin = 1n << 12n

function mayChangeRules(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(fs.readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'
  return (BigInt(`0x${effective}`) & netAdmin) !== 0n
}
