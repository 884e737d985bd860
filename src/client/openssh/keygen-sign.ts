/**
 * Signs with a key file through `ssh-keygen -Y sign`, which asks for the passphrase on the terminal or through SSH_ASKPASS,
 * and talks to FIDO tokens.
 */
import { spawn } from 'node:child_process'
import type { SshPublicKey, SshSignature } from '../../knock/openssh/index.js'
import { parseSignature, SshFormatError, SshReader } from '../../knock/openssh/index.js'
import { oneLine, UserError } from '../../util/index.js'

/** A person may have to type, or to touch a token. */
const limitMilliseconds = 120_000

/** Throws a UserError. */
export async function signWithFile(
  file: string,
  key: SshPublicKey,
  namespace: string,
  message: Buffer,
  withinMilliseconds = limitMilliseconds,
): Promise<SshSignature> {
  const args = ['-Y', 'sign', '-n', namespace, '-f', file]
  const { status, stdout, stderr } = await runKeygen(args, message, withinMilliseconds)
  if (status !== 0) throw failure(file, stderr)
  try {
    return signatureIn(stdout, key)
  } catch (error) {
    if (!(error instanceof SshFormatError)) throw error
    throw new UserError(`ssh-keygen does not sign with ${file} as expected: ${error.message}`)
  }
}

function failure(file: string, stderr: string): UserError {
  if (stderr.includes('incorrect passphrase')) {
    return new UserError(
      `the passphrase of ${file} is wrong, or there is no terminal to ask for it`,
      'add the key to ssh-agent with ssh-add',
    )
  }
  if (/UNPROTECTED PRIVATE KEY|bad permissions/.test(stderr)) {
    return new UserError(`${file} can be read by other users, and ssh-keygen refuses it`, `chmod 600 ${file}`)
  }
  const [last = 'it failed'] = stderr.trim().split('\n').slice(-1)
  return new UserError(`ssh-keygen cannot sign with ${file}: ${oneLine(last)}`)
}

interface KeygenResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** In the session of the terminal, unlike other programs that pkctl runs, so that ssh-keygen can ask there. */
function runKeygen(args: readonly string[], input: Buffer, timeout: number): Promise<KeygenResult> {
  const { SSH_AUTH_SOCK: _, ...env } = process.env
  return new Promise((resolve, reject) => {
    const child = spawn('ssh-keygen', args, {
      stdio: 'pipe',
      env: { ...env, LC_ALL: 'C' },
      timeout,
      // One that is stopped takes no other signal.
      killSignal: 'SIGKILL',
    })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    child.stdin.on('error', () => undefined) // its exit status decides
    child.on('error', ({ message }) => reject(new UserError(`ssh-keygen cannot be run: ${message}`, 'install OpenSSH')))
    child.on('close', (status, signal) => {
      if (signal) reject(new UserError(`ssh-keygen was ended by ${signal}, before it had signed`))
      else resolve({ status, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() })
    })
    child.stdin.end(input)
  })
}

/** The signature in an armor of SSHSIG (PROTOCOL.sshsig). */
function signatureIn(armor: string, key: SshPublicKey): SshSignature {
  const [, base64] = /-----BEGIN SSH SIGNATURE-----([^-]*)-----END SSH SIGNATURE-----/.exec(armor) ?? []
  const reader = new SshReader(Buffer.from(base64 ?? '', 'base64'), 'its output')
  if (reader.take(6).toString() !== 'SSHSIG' || reader.uint32() !== 1) throw reader.error('is of another version')
  if (!reader.string().equals(key.blob)) throw reader.error('is a signature of another key')
  // Namespace, reserved field and hash are part of what is signed.
  for (let field = 0; field < 3; field++) reader.string()
  const signature = parseSignature(reader.string(), key.type)
  reader.end()
  return signature
}
