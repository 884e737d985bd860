/**
 * One change at a time: each reads the ruleset, decides, and writes, and two at once (cron and Ansible, say) would
 * undo each other's. The kernel holds the lock (flock(2)) for a child, and frees it however we end.
 */
import { spawn } from 'node:child_process'
import * as fs from 'node:fs'
import * as path from 'node:path'

/** Runs `work` while nobody else who uses the same file runs theirs. */
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

function acquire(file: string): Promise<() => void> {
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o755 })
    fs.closeSync(fs.openSync(file, 'a', 0o600))
  } catch (error) {
    // Whoever may not write here may not change the ruleset either, and nft will say so.
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EACCES' || code === 'EPERM') return Promise.resolve(() => undefined)
    return Promise.reject(error)
  }
  return new Promise((resolve, reject) => {
    const args = ['--wait', String(waitSeconds), file, '/bin/sh', '-c', 'echo locked; exec cat']
    const child = spawn('flock', args, { stdio: ['pipe', 'pipe', 'ignore'] })
    child.stdin.on('error', () => undefined)
    child.stdout.once('data', () => {
      resolve(() => child.stdin.end())
    })
    child.on('error', cause => {
      reject(new Error('there is no flock program: install the package util-linux', { cause }))
    })
    child.on('exit', () => {
      reject(new Error(`another pkctl has been changing the ruleset for ${waitSeconds} s (lock ${file})`))
    })
  })
}
