/** Key files of the user: the public half, which stands in clear beside or in the private one, and certificates. */
import * as fs from 'node:fs'
import type { SshCertificate, SshPublicKey } from '../../knock/openssh/index.js'
import { parseCertificate, parsePublicKey, readKeyText, SshFormatError, SshReader } from '../../knock/openssh/index.js'
import { reasonOf, UserError } from '../../util/index.js'

/** The public key of a key file; undefined when there is no such file, an error when it is of no use. */
export function publicKeyInFile(file: string): SshPublicKey | SshFormatError | undefined {
  try {
    const text = read(`${file}.pub`) ?? read(file)
    if (text === undefined) return undefined
    const blob = readKeyText(text.trim())?.blob ?? publicPart(text)
    if (blob === undefined) return new SshFormatError('its public half cannot be read; write it with ssh-keygen -y')
    return parsePublicKey(blob)
  } catch (error) {
    if (error instanceof SshFormatError) return error
    throw error
  }
}

/** Whether the file has the private half. */
export const isPrivate = (file: string): boolean => /^-----BEGIN .*PRIVATE KEY-----/.test(textOf(file))

/** The certificate in a file; undefined when there is none, an error when it is of no use. */
export function certificateIn(file: string): SshCertificate | SshFormatError | undefined {
  try {
    const text = read(file)
    if (text === undefined) return undefined
    const key = readKeyText(text.trim())
    return key ? parseCertificate(key.blob) : new SshFormatError('there is no certificate in it')
  } catch (error) {
    if (error instanceof SshFormatError) return error
    throw error
  }
}

const maxLength = 64 * 1024

function read(file: string): string | undefined {
  try {
    if (fs.statSync(file).size > maxLength) throw new SshFormatError('it is too large for a key')
    return fs.readFileSync(file, 'utf8')
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    if (error instanceof SshFormatError) throw error
    throw new UserError(`${file} cannot be read: ${reasonOf(error)}`)
  }
}

/** Empty where there is no file, or it is no key. */
function textOf(file: string): string {
  try {
    return read(file) ?? ''
  } catch (error) {
    if (error instanceof SshFormatError) return ''
    throw error
  }
}

/** Whether the private half has a passphrase. */
export function isEncrypted(file: string): boolean {
  const text = textOf(file)
  try {
    // The cipher.
    const cipher = openSshKey(text)?.text()
    return cipher === undefined ? /^(?:Proc-Type: .*ENCRYPTED|-----BEGIN ENCRYPTED)/m.test(text) : cipher !== 'none'
  } catch (error) {
    if (error instanceof SshFormatError) return false // ssh-keygen will say what is wrong with it
    throw error
  }
}

/** The public key in a private key file of OpenSSH, where it is not encrypted (PROTOCOL.key). */
function publicPart(text: string): Buffer | undefined {
  const reader = openSshKey(text)
  if (!reader) return undefined
  // The cipher, and how its key is made of the passphrase.
  for (let field = 0; field < 3; field++) reader.string()
  return reader.uint32() === 1 ? reader.string() : undefined
}

/** What follows the magic of a private key file of OpenSSH; undefined for other files. */
function openSshKey(text: string): SshReader | undefined {
  const [, base64] = /^-----BEGIN OPENSSH PRIVATE KEY-----([^-]*)-----END/.exec(text) ?? []
  if (base64 === undefined) return undefined
  const reader = new SshReader(Buffer.from(base64, 'base64'), 'the private key')
  return reader.take(15).toString('latin1') === 'openssh-key-v1\0' ? reader : undefined
}
