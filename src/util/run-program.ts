import { spawn } from 'node:child_process'

/** Runs one program to its end. Resolves to stdout; a failure to start rejects with the system's error. */
export type Execute = (
  file: string,
  args: readonly string[],
  input?: string,
) => Promise<{ status: number; stdout: string; stderr: string }>

export const execute: Execute = (file, args, input = '') =>
  new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    child.stdin.on('error', () => undefined) // the exit status decides, also for a program that does not read its input
    child.on('error', reject)
    child.on('close', status => {
      resolve({ status: status ?? 1, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() })
    })
    child.stdin.end(input)
  })
