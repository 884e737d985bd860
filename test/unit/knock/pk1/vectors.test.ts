import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { formatIdentity, parseIdentity } from '../../../../src/knock/pk1/identity.js'
import { signatureNamespace } from '../../../../src/knock/pk1/signed.js'
import { publicHalf } from '../../../../src/knock/pk1/x25519.js'
import { judgeVector, readKnockVectors, receiverOf } from '../../../support/knock-vectors.js'

const vectors = readKnockVectors()
const receiver = receiverOf(vectors)

describe('vectors of the knock', () => {
  it('are many, of each outcome, and each has a name of its own', () => {
    assert.ok(vectors.cases.length >= 200)
    const outcomes = new Set(vectors.cases.map(({ name }) => name.split(':')[0]))
    const all = ['accepted', 'size', 'prefix', 'check', 'hint', 'ephemeral', 'seal', 'request', 'period', 'time']
    assert.deepEqual([...outcomes].sort(), [...all, 'signer', 'signature'].sort())
    assert.equal(new Set(vectors.cases.map(({ name }) => name)).size, vectors.cases.length)
  })

  it('have an identity that is the public half of the key', () => {
    const { identity, privateKey } = receiver.server
    assert.deepEqual(publicHalf(privateKey), identity)
    assert.deepEqual(parseIdentity(vectors.server.identity), identity)
    assert.equal(formatIdentity(identity), vectors.server.identity)
  })

  for (const vector of vectors.cases) {
    it(vector.name, () => {
      const judged = judgeVector(vector, receiver)
      assert.equal('layer' in judged ? judged.layer : 'accepted', vector.name.split(':')[0])
      if ('layer' in judged) return
      assert.equal(judged.user, vector.user)
      const { time, other, host, ...rest } = judged.request
      const addresses = { other: other?.toString('hex') ?? null, host: host?.toString('hex') ?? null }
      assert.deepEqual({ ...rest, time: Number(time), ...addresses }, vector.request)
    })
  }
})

describe('signatures of the vectors', () => {
  let directory: string
  before(() => (directory = fs.mkdtempSync(path.join(tmpdir(), 'pkctl-vectors-'))))
  after(() => {
    fs.rmSync(directory, { recursive: true })
  })

  const lengthOf = (bytes: Buffer | string) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    return length
  }
  const sshString = (bytes: Buffer | string) => Buffer.concat([lengthOf(bytes), Buffer.from(bytes as string)])
  /** A number as SSH writes it: no zeros in front but one that keeps it positive. */
  const sshNumber = (bytes: Buffer) => {
    let from = 0
    while (from < bytes.length - 1 && bytes[from] === 0) from++
    const cut = bytes.subarray(from)
    return sshString((cut[0] as number) >= 0x80 ? Buffer.concat([Buffer.alloc(1), cut]) : cut)
  }
  const armoured = (line: string, signature: Buffer) => {
    const [type = '', base64 = ''] = line.split(' ')
    const half = signature.length / 2
    const numbers = Buffer.concat([signature.subarray(0, half), signature.subarray(half)].map(sshNumber))
    const raw = type === 'ssh-ed25519' ? signature : numbers
    const version = Buffer.from([0, 0, 0, 1])
    const parts = [Buffer.from(base64, 'base64'), signatureNamespace, '', 'sha512']
    const blob = Buffer.concat([sshString(type), sshString(raw)])
    const whole = Buffer.concat([Buffer.from('SSHSIG'), version, ...[...parts, blob].map(sshString)])
    const lines = whole.toString('base64').match(/.{1,70}/g) ?? []
    return `-----BEGIN SSH SIGNATURE-----\n${lines.join('\n')}\n-----END SSH SIGNATURE-----\n`
  }

  it('are right for ssh-keygen where they are for pkctl, and for no other', () => {
    const signers = path.join(directory, 'signers')
    const lines = Object.entries(vectors.ssh).map(([name, line]) => `${name} ${line}\n`)
    fs.writeFileSync(signers, lines.join(''))
    const counts = { right: 0, wrong: 0 }
    for (const vector of vectors.cases) {
      const judged = judgeVector(vector, receiver)
      const { signed } = judged
      if (!signed || !('fingerprint' in signed.signer)) continue
      // Flags and counter that a key must not have are not a matter of the signature.
      if (signed.flags !== 0 || signed.counter !== 0) continue
      const { fingerprint } = signed.signer
      const user = [...receiver.ssh].find(([, key]) => key.fingerprint.equals(fingerprint))?.[0]
      if (user === undefined) continue
      const file = path.join(directory, 'signature')
      fs.writeFileSync(file, armoured(vectors.ssh[user] ?? '', signed.signature))
      const args = ['-Y', 'verify', '-f', signers, '-I', user, '-n', signatureNamespace, '-s', file]
      const { status } = spawnSync('ssh-keygen', args, { input: signed.message })
      const isRight = !('layer' in judged) || judged.layer === 'time'
      assert.equal(status === 0, isRight, vector.name)
      counts[isRight ? 'right' : 'wrong']++
    }
    assert.deepEqual(counts, { right: 22, wrong: 18 })
  })
})
