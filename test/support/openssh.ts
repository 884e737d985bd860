/** Keys, certificates and signatures made by the programs of OpenSSH, in a directory of their own. */
import type { SpawnSyncOptions } from 'node:child_process'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'

export const namespace = 'knock@pkctl'

/** OpenSSH's software token for FIDO keys: scripts/fetch-token.sh. Undefined where there is none. */
export const softwareToken = [
  '/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so',
  path.join(process.env['XDG_CACHE_HOME'] ?? path.join(os.homedir(), '.cache'), 'pkctl/sk-dummy.so'),
].find(file => fs.existsSync(file))

/** For the option `skip` of a test. */
export const withoutToken = softwareToken === undefined && 'there is no software token: see scripts/fetch-token.sh'

interface Outcome {
  readonly status: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

export class OpenSsh {
  readonly directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-openssh-'))

  remove(): void {
    fs.rmSync(this.directory, { recursive: true, force: true })
  }

  path(name: string): string {
    return path.join(this.directory, name)
  }

  read(name: string): string {
    return this.readBytes(name).toString()
  }

  readBytes(name: string): Buffer {
    return fs.readFileSync(this.path(name))
  }

  /** Writes a file that only its owner can read. */
  write(name: string, content: string | Buffer): string {
    fs.writeFileSync(this.path(name), content, { mode: 0o600 })
    return this.path(name)
  }

  /** ssh-keygen, without an agent and away from the user's own files. */
  keygen(args: readonly string[], options: SpawnSyncOptions = {}): Outcome {
    const { SSH_AUTH_SOCK: _, SSH_ASKPASS: __, ...environment } = process.env
    const env = {
      ...environment,
      ...(softwareToken !== undefined && { SSH_SK_PROVIDER: softwareToken }),
      HOME: this.directory,
      LC_ALL: 'C',
      ...options.env,
    }
    const ran = spawnSync('ssh-keygen', args, { cwd: this.directory, timeout: 60_000, ...options, env })
    if (ran.error) throw ran.error
    return { status: ran.status, stdout: ran.stdout as Buffer, stderr: String(ran.stderr) }
  }

  /** The same, where anything but success is an error. */
  must(...args: readonly string[]): Buffer {
    const { status, stdout, stderr } = this.keygen(args)
    if (status !== 0) throw new Error(`ssh-keygen ${args.join(' ')}: ${stderr}`)
    return stdout
  }

  /** Makes a key pair and returns the line of its public key. */
  key(name: string, ...options: readonly string[]): string {
    this.must('-q', '-N', '', '-C', `comment of ${name}`, '-f', this.path(name), ...options)
    return this.read(`${name}.pub`).trim()
  }

  /** Certifies a key and returns the line of the certificate. */
  certificate(ca: string, key: string, ...options: readonly string[]): string {
    this.must('-q', '-s', ca, '-I', `id of ${key}`, ...options, `${key}.pub`)
    return this.read(`${key}-cert.pub`).trim()
  }

  /** The signature of `ssh-keygen -Y sign`: what stands in its armor. */
  sign(key: string, message: Buffer): Buffer {
    const { status, stdout, stderr } = this.keygen(['-Y', 'sign', '-n', namespace, '-f', key], { input: message })
    if (status !== 0) throw new Error(`ssh-keygen -Y sign: ${stderr}`)
    return Buffer.from(stdout.toString().replace(/-----.*-----/g, ''), 'base64')
  }

  /** What `ssh-keygen -Y verify` says of a signature, which is the content of an armor. */
  accepts(publicKey: string, message: Buffer, signature: Buffer): boolean {
    this.write('allowed', `user ${publicKey}\n`)
    const lines = signature.toString('base64').match(/.{1,70}/g) ?? []
    const armor = ['-----BEGIN SSH SIGNATURE-----', ...lines, '-----END SSH SIGNATURE-----', ''].join('\n')
    const file = this.write('signature', armor)
    const args = ['-Y', 'verify', '-n', namespace, '-f', 'allowed', '-I', 'user', '-s', file]
    return this.keygen(args, { input: message }).status === 0
  }
}

/** The blob in the line of a public key or certificate. */
export const blobOf = (line: string): Buffer => Buffer.from(line.split(' ')[1] ?? '', 'base64')
