/** A file of very many keys, by fingerprint. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { KeyIndex } from '../../../src/controller/verify/key-index.js'
import { SignatureVerifier } from '../../../src/controller/verify/signature-verifier.js'
import { readRevocations } from '../../../src/knock/openssh/index.js'
import { sshString } from '../../../src/knock/openssh/wire.js'
import { inSlices, Slices } from '../../../src/util/index.js'
import { testKey } from '../knock/openssh/sshsig.js'
import { knockPort, start } from './knock-support.js'
import { keysOf, signedPayload } from './signed-support.js'

const blobOf = (i: number) =>
  Buffer.concat([sshString('ssh-ed25519'), sshString(createHash('sha256').update(String(i)).digest())])
const lineOf = (i: number) => `ssh-ed25519 ${blobOf(i).toString('base64')} user${i}`
const fingerprintOf = (i: number) => createHash('sha256').update(blobOf(i)).digest()
const alice = testKey('ssh-ed25519')

/** Counts what is done between the slices. */
class CountedSlices extends Slices {
  pauses = 0
  override async next(): Promise<void> {
    this.pauses++
    await super.next()
  }
}
/** Pauses at each line. */
class OverSlices extends CountedSlices {
  override isOver = () => true
}

describe('an index of keys', () => {
  const read = (text: string, earlier?: KeyIndex, slices: Slices = new Slices()) =>
    KeyIndex.read(Buffer.from(text), slices, earlier)
  const comments = (lines: readonly { readonly comment: string }[]) => lines.map(({ comment }) => comment)

  it('finds all lines of a key, in their order, and CAs apart', async () => {
    const index = await read(
      `# one\n${lineOf(1)}\r\n\n  opens="ssh" ${lineOf(1)} b\ncert-authority ${lineOf(2)}\nsurprise ${lineOf(3)}\n${lineOf(4)}`,
    )
    assert.deepEqual(comments(index.find(fingerprintOf(1))), ['user1', 'user1 b'])
    assert.deepEqual(index.find(fingerprintOf(1))[1]?.opens, ['ssh'])
    assert.deepEqual(comments(index.find(fingerprintOf(2))), [])
    assert.deepEqual(comments(index.findAuthority(fingerprintOf(2))), ['user2'])
    assert.deepEqual(comments(index.find(fingerprintOf(4))), ['user4'])
    assert.deepEqual(index.find(fingerprintOf(3)), [])
    assert.deepEqual(index.problems, [{ line: 6, message: "the option 'surprise' is unknown" }])
  })

  it('reads only the lines again that are new, and none of a file that is the same', async () => {
    const index = await read(`${lineOf(1)}\nsurprise ${lineOf(2)}\n`)
    assert.equal(await read(`${lineOf(1)}\nsurprise ${lineOf(2)}\n`, index), index)
    const next = await read(`\nsurprise ${lineOf(2)}\n${lineOf(1)}\n${lineOf(3)}\n`, index)
    for (const line of [lineOf(1), `surprise ${lineOf(2)}`])
      assert.equal(next.facts.get(line), index.facts.get(line), 'the facts of before')
    assert.deepEqual(next.problems, [{ line: 2, message: "the option 'surprise' is unknown" }])
    assert.deepEqual(comments(next.find(fingerprintOf(3))), ['user3'])
    const gone = await read(`${lineOf(3)}\n`, next)
    assert.deepEqual([gone.find(fingerprintOf(1)), gone.facts.size], [[], 1])
  })

  it('keeps a bounded number of parsed lines', async () => {
    const count = 3000
    const index = await read(Array.from({ length: count }, (_, i) => lineOf(i)).join('\n'))
    for (let i = 0; i < count; i++) assert.deepEqual(comments(index.find(fingerprintOf(i))), [`user${i}`])
    assert.equal(index.find(fingerprintOf(count - 1))[0], index.find(fingerprintOf(count - 1))[0])
  })

  it('lets other work go on between its slices', async () => {
    const slices = new OverSlices()
    let [others, isRead] = [0, false]
    const count = () => {
      others++
      if (!isRead) setImmediate(count)
    }
    setImmediate(count)
    await read(Array.from({ length: 50 }, (_, i) => lineOf(i)).join('\n'), undefined, slices)
    isRead = true
    assert.ok(slices.pauses >= 50)
    assert.ok(others >= 49, `${others} turns of others`)
  })
})

describe('a list of very many revoked keys', () => {
  const entries = Array.from({ length: 50 }, (_, i) => i)
  const uint = (value: number, length: number) => {
    const bytes = Buffer.alloc(length)
    bytes.writeUIntBE(value, length - 6, 6)
    return bytes
  }
  const section = (kind: number, parts: readonly Buffer[]) =>
    Buffer.concat([Buffer.of(kind), sshString(Buffer.concat(parts))])
  const ofAllAuthorities = (subsection: Buffer) => section(1, [sshString(''), sshString(''), subsection])
  const krl = (...sections: readonly Buffer[]) =>
    Buffer.concat([Buffer.from('SSHKRL\n\0'), uint(1, 8).subarray(4), Buffer.alloc(24), Buffer.alloc(8), ...sections])
  const cases = {
    'in text': Buffer.from(entries.map(lineOf).join('\n')),
    'as a KRL of keys': krl(
      section(
        2,
        entries.map(i => sshString(blobOf(i))),
      ),
    ),
    'as a KRL of hashes': krl(
      section(
        5,
        entries.map(i => sshString(fingerprintOf(i))),
      ),
    ),
    'as a KRL of serial numbers': krl(
      ofAllAuthorities(
        section(
          0x20,
          entries.map(i => uint(i, 8)),
        ),
      ),
    ),
    'as a KRL of key ids': krl(
      ofAllAuthorities(
        section(
          0x23,
          entries.map(i => sshString(`id ${i}`)),
        ),
      ),
    ),
    'as a KRL of sections': krl(...entries.map(i => section(2, [sshString(blobOf(i))]))),
    'as a KRL of ranges': krl(
      section(1, [sshString(''), sshString(''), ...entries.map(i => section(0x21, [uint(i, 8), uint(i, 8)]))]),
    ),
  }
  for (const [name, file] of Object.entries(cases))
    it(`${name}, lets other work go on between its entries`, async () => {
      const slices = new OverSlices()
      await inSlices(readRevocations(file), slices)
      assert.ok(slices.pauses >= entries.length, `${slices.pauses} pauses`)
    })
})

describe('a file of very many keys', () => {
  it('is read while knocks are verified, by the keys of before', async () => {
    const verifier = new SignatureVerifier({ now: () => start })
    const of = (authorized: string) => [keysOf({ authorized })]
    const verify = async () => {
      const job = { id: 4, bytes: new Uint8Array(signedPayload(alice)), port: knockPort, source: '192.0.2.1' }
      return (await verifier.verify(job)).kind
    }
    await verifier.configure(of(`${alice.line} alice\n`))
    const many = Array.from({ length: 20_000 }, (_, i) => lineOf(i)).join('\n')
    let isRead = false
    const reading = verifier.configure(of(many)).then(() => (isRead = true))
    // It gets its turn, though the lines take many slices.
    assert.deepEqual([await verify(), isRead], ['verified', false])
    await reading
    assert.equal(await verify(), 'refused')
  })

  it('or of revoked ones: of those that are not read yet, those of before count', async () => {
    const verifier = new SignatureVerifier({ now: () => start })
    const authorized = `${alice.line} alice\n`
    const verify = async () => {
      const job = { id: 4, bytes: new Uint8Array(signedPayload(alice)), port: knockPort, source: '192.0.2.1' }
      const outcome = await verifier.verify(job)
      return outcome.kind === 'refused' ? outcome.reason : outcome.kind
    }
    await verifier.configure([keysOf({ authorized, revoked: '' })])
    const many = Array.from({ length: 20_000 }, (_, i) => lineOf(i)).join('\n')
    let isRead = false
    const reading = verifier.configure([keysOf({ authorized, revoked: `${many}\n${alice.line}` })])
    void reading.then(() => (isRead = true))
    assert.deepEqual([await verify(), isRead], ['verified', false])
    await reading
    assert.equal(await verify(), 'revoked')
  })
})
