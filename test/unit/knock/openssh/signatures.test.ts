/** Signatures, each checked by pkctl and by `ssh-keygen -Y verify`, which must say the same. */
import assert from 'node:assert/strict'
import * as crypto from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import type { SshPublicKey, TokenDemands, TokenStatement } from '../../../../src/knock/openssh/index.js'
import { parsePublicKey, signedData } from '../../../../src/knock/openssh/index.js'
import { parseSignature } from '../../../../src/knock/openssh/signature.js'
import { blobOf, namespace, OpenSsh, withoutToken } from '../../../support/openssh.js'
import { signatureIn, sshsigOf, testKey } from './sshsig.js'

const message = crypto.createHash('sha512').update('a message').digest()
const types = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'sk-ssh-ed25519@openssh.com',
  'sk-ecdsa-sha2-nistp256@openssh.com',
] as const

const changed = (bytes: Buffer, at: number) => {
  const copy = Buffer.from(bytes)
  copy.writeUInt8(copy.readUInt8(at) ^ (1 << (at % 8)), at)
  return copy
}

describe('signatures', () => {
  let openssh: OpenSsh
  before(() => (openssh = new OpenSsh()))
  after(() => openssh.remove())

  /** Asserts that pkctl, in both its ways, and ssh-keygen say this of the signature. */
  async function agree(
    key: SshPublicKey,
    { signature, statement }: { signature: Buffer; statement?: TokenStatement | undefined },
    want: boolean,
    what: string,
    about = message,
  ): Promise<void> {
    const data = signedData(namespace, about)
    assert.equal(key.verify(data, signature, statement), want, `pkctl: ${what}`)
    assert.equal(await key.verifyAsync(data, signature, statement), want, `pkctl, on another thread: ${what}`)
    const line = `${key.type} ${key.blob.toString('base64')}`
    const sshsig = sshsigOf(key.type, key.blob, signature, statement)
    assert.equal(openssh.accepts(line, about, sshsig), want, `ssh-keygen: ${what}`)
  }

  for (const type of types) {
    it(`${type}: ssh-keygen and pkctl accept the same ones`, async () => {
      const made = testKey(type)
      const key = parsePublicKey(made.blob)
      const { signature, statement } = made.sign(message)
      await agree(key, { signature, statement }, true, 'the signature as it was made')
      for (let at = 0; at < signature.length; at++) {
        await agree(key, { signature: changed(signature, at), statement }, false, `byte ${at} is changed`)
      }
      await agree(key, { signature, statement }, false, 'another message', Buffer.concat([message, Buffer.alloc(1)]))
      await agree(parsePublicKey(testKey(type).blob), { signature, statement }, false, 'another key')
      const parts = [signature.subarray(32), signature.subarray(0, 32)]
      await agree(key, { signature: Buffer.concat(parts), statement }, false, 'the halves the other way round')
      for (const value of [0, 0xff]) {
        await agree(key, { signature: Buffer.alloc(64, value), statement }, false, `all bytes ${value}`)
      }
    })
  }

  for (const [type, options, skip] of [
    ['ssh-ed25519', ['-t', 'ed25519'], false],
    ['ecdsa-sha2-nistp256', ['-t', 'ecdsa', '-b', '256'], false],
    ['sk-ssh-ed25519@openssh.com', ['-t', 'ed25519-sk'], withoutToken],
    ['sk-ecdsa-sha2-nistp256@openssh.com', ['-t', 'ecdsa-sk'], withoutToken],
    [
      'sk-ecdsa-sha2-nistp256@openssh.com of another application',
      ['-t', 'ecdsa-sk', '-O', 'application=ssh:x'],
      withoutToken,
    ],
  ] as const) {
    it(`${type}: what ssh-keygen signs is accepted`, { skip }, async () => {
      const name = type.replace(/\W/g, '-')
      const key = parsePublicKey(blobOf(openssh.key(name, ...options)))
      // r or s of ECDSA is short, or has a zero before it, in one of some signatures.
      for (let round = 0; round < 8; round++) {
        const about = Buffer.from(`message ${round}`)
        const { signature, statement } = parseSignature(signatureIn(openssh.sign(name, about)), key.type)
        await agree(key, { signature, statement }, true, `round ${round}`, about)
      }
    })
  }

  for (const type of types.slice(2)) {
    it(`${type}: what the token says is signed, too`, async () => {
      const made = testKey(type)
      const key = parsePublicKey(made.blob)
      const { signature, statement = { flags: 0, counter: 0 } } = made.sign(message)
      await agree(key, { signature, statement: { ...statement, counter: statement.counter + 1 } }, false, 'counter')
      await agree(key, { signature, statement: { ...statement, flags: 5 } }, false, 'flags')
      const application = parsePublicKey(Buffer.concat([made.blob.subarray(0, -1), Buffer.from('!')]))
      await agree(application, { signature, statement }, false, 'application')
      assert.equal(key.verify(signedData(namespace, message), signature), false, 'nothing')
    })

    it(`${type}: the touch, and the verification of the person`, () => {
      const data = signedData(namespace, message)
      const cases: readonly { flags: number; demands: TokenDemands | undefined; want: boolean }[] = [
        { flags: 0, demands: undefined, want: false },
        { flags: 0, demands: { touch: false }, want: true },
        { flags: 1, demands: undefined, want: true },
        { flags: 1, demands: { verification: true }, want: false },
        { flags: 4, demands: { verification: true }, want: false },
        { flags: 5, demands: { verification: true }, want: true },
      ]
      for (const { flags, demands, want } of cases) {
        const made = testKey(type, { flags, counter: 0xffff_ffff })
        const { signature, statement } = made.sign(message)
        assert.equal(parsePublicKey(made.blob).verify(data, signature, statement, demands), want, `flags ${flags}`)
      }
    })
  }

  it('a signature without a token has no statement of one', () => {
    for (const type of types.slice(0, 2)) {
      const made = testKey(type)
      const { signature } = made.sign(message)
      const key = parsePublicKey(made.blob)
      assert.equal(key.verify(signedData(namespace, message), signature), true)
      assert.equal(key.verify(signedData(namespace, message), signature, { flags: 1, counter: 0 }), false)
    }
  })

  it('a signature of Ed25519 has one spelling: S is below the order', async () => {
    const made = testKey('ssh-ed25519')
    const { signature } = made.sign(message)
    const order = 2n ** 252n + 27_742_317_777_372_353_535_851_937_790_883_648_493n
    const little = (bytes: Buffer) => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
    const other = (little(signature.subarray(32)) + order).toString(16).padStart(64, '0')
    const spelled = Buffer.concat([signature.subarray(0, 32), Buffer.from(other, 'hex').reverse()])
    const key = parsePublicKey(made.blob)
    assert.equal(key.verify(signedData(namespace, message), spelled), false)
    assert.equal(await key.verifyAsync(signedData(namespace, message), spelled), false)
  })

  for (const length of [0, 63, 65, 72]) {
    it(`no signature has ${length} bytes`, async () => {
      for (const type of types) {
        const key = parsePublicKey(testKey(type).blob)
        assert.equal(key.verify(message, Buffer.alloc(length)), false)
        assert.equal(await key.verifyAsync(message, Buffer.alloc(length), { flags: 1, counter: 1 }), false)
      }
    })
  }
})
