/** Signatures of `ssh-keygen -Y`, taken apart and put together: PROTOCOL.sshsig. */
import * as crypto from 'node:crypto'
import type { TokenStatement } from '../../../../src/knock/openssh/public-key.js'
import { signedData } from '../../../../src/knock/openssh/signed-data.js'
import { SshReader, sshString } from '../../../../src/knock/openssh/wire.js'
import { namespace } from '../../../support/openssh.js'

/** The signature in what `ssh-keygen -Y sign` writes. */
export function signatureIn(sshsig: Buffer): Buffer {
  const reader = new SshReader(sshsig, 'the signature of ssh-keygen')
  reader.take(6 + 4)
  for (let field = 0; field < 4; field++) reader.string()
  const signature = reader.string()
  reader.end()
  return signature
}

const mpint = (bytes: Buffer) => {
  const first = bytes.findIndex(byte => byte !== 0)
  const number = first < 0 ? Buffer.alloc(0) : bytes.subarray(first)
  return sshString((number[0] ?? 0) > 0x7f ? Buffer.concat([Buffer.alloc(1), number]) : number)
}

/** What `ssh-keygen -Y verify` reads, for a signature of 64 bytes. */
export function sshsigOf(type: string, key: Buffer, signature: Buffer, statement?: TokenStatement): Buffer {
  const inner = type.includes('ecdsa')
    ? Buffer.concat([mpint(signature.subarray(0, 32)), mpint(signature.subarray(32))])
    : signature
  const said = Buffer.alloc(statement ? 5 : 0)
  if (statement) {
    said.writeUInt8(statement.flags)
    said.writeUInt32BE(statement.counter, 1)
  }
  const blob = Buffer.concat([sshString(type), sshString(inner), said])
  const version = Buffer.from([0, 0, 0, 1])
  const fields = [key, namespace, '', 'sha512', blob].map(sshString)
  return Buffer.concat([Buffer.from('SSHSIG'), version, ...fields])
}

export interface TestKey {
  readonly type: string
  readonly blob: Buffer
  /** As in a `.pub` file. */
  readonly line: string
  /** Signs as ssh-keygen does: 64 bytes, and what a token says of them. */
  sign(message: Buffer): { signature: Buffer; statement?: TokenStatement }
}

/** A key of node's own, also one as a FIDO token would have it. */
export function testKey(
  type: string,
  statement: TokenStatement = { flags: 1, counter: 7 },
  application = 'ssh:',
): TestKey {
  const isEcdsa = type.includes('ecdsa')
  const { publicKey, privateKey } = isEcdsa
    ? crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' })
    : crypto.generateKeyPairSync('ed25519')
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const isToken = type.startsWith('sk-')
  const point = spki.subarray(isEcdsa ? -65 : -32)
  const fields = [type, ...(isEcdsa ? ['nistp256'] : []), point, ...(isToken ? [application] : [])]
  const blob = Buffer.concat(fields.map(sshString))
  const sign = (data: Buffer) =>
    crypto.sign(isEcdsa ? 'sha256' : null, data, { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return {
    type,
    blob,
    line: `${type} ${blob.toString('base64')}`,
    sign(message) {
      const data = signedData(namespace, message)
      if (!isToken) return { signature: sign(data) }
      const said = Buffer.alloc(5)
      said.writeUInt8(statement.flags)
      said.writeUInt32BE(statement.counter, 1)
      return { signature: sign(Buffer.concat([sha256(Buffer.from(application)), said, sha256(data)])), statement }
    },
  }
}

const sha256 = (bytes: Buffer) => crypto.createHash('sha256').update(bytes).digest()
