/** What is signed in place of a message: the structure of PROTOCOL.sshsig, as `ssh-keygen -Y sign` and agents sign it. */
import * as crypto from 'node:crypto'
import { sshString } from './wire.js'

const magic = Buffer.from('SSHSIG')

/** The bytes to sign for the message, within the namespace; with SHA-512, and the reserved field empty. */
export function signedData(namespace: string, message: Buffer): Buffer {
  const hash = crypto.createHash('sha512').update(message).digest()
  return Buffer.concat([magic, sshString(namespace), sshString(''), sshString('sha512'), sshString(hash)])
}
