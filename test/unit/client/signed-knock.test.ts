/** The packets that an SSH key signs: what they ask for, and when a person is asked. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import type { KnockFlags } from '../../../src/client/knock-flags.js'
import type { SigningKey } from '../../../src/client/openssh/signing-key.js'
import { readWishes, SignedKnocks } from '../../../src/client/make-signed-knock.js'
import { newServerKey, decryptSigned } from '../../../src/knock/pk1/signed.js'
import { UserError } from '../../../src/util/user-error.js'

const server = newServerKey(randomBytes)
const fingerprint = Buffer.alloc(32, 7)

/** A signer that keeps what it has signed. */
function fakeSigner(parts: { asksPerson?: boolean; certificate?: Buffer; fails?: Error } = {}) {
  const signed: Buffer[] = []
  const signer = {
    key: { fingerprint },
    ...(parts.certificate && { certificate: { blob: parts.certificate, keyId: 'id' } }),
    from: 'a test',
    asksPerson: parts.asksPerson ?? false,
    sign(message: Buffer) {
      signed.push(message)
      if (parts.fails) return Promise.reject(parts.fails)
      return Promise.resolve({ signature: Buffer.alloc(64, signed.length), statement: { flags: 5, counter: 9 } })
    },
  } as unknown as SigningKey
  return { signer, signed }
}
const wishes = (flags: KnockFlags = {}, host: Buffer | null = null, close = false) => readWishes(flags, host, close)
const knocks = (signer: SigningKey, asked = wishes()) =>
  new SignedKnocks(server.identity, asked, signer, line => assert.fail(line))
const opened = ({ bytes, port }: { bytes: Buffer; port: number }) => {
  const knock = decryptSigned({ bytes, at: 0, length: bytes.length, port }, server)
  if (typeof knock === 'string') assert.fail(`refused by ${knock}`)
  return knock
}
const anyPort = () => 4000

describe('a signed knock', () => {
  it('says who signs, and what the flags ask for', async () => {
    const { signer, signed } = fakeSigner()
    const host = Buffer.from([192, 0, 2, 7])
    const packet = await knocks(signer, wishes({ service: ['web', 'ssh', 'web'], window: '10m' }, host)).make(
      'a',
      anyPort,
    )
    assert.equal(packet.bytes.length, 256)
    const { request, signer: who, message, signature, flags, counter } = opened(packet)
    assert.deepEqual(who, { fingerprint })
    const { time, ...asked } = request
    assert.deepEqual(asked, { close: false, window: 600, prefix: null, other: null, host, services: ['ssh', 'web'] })
    assert.ok(Math.abs(Number(time) - Date.now()) < 10_000)
    assert.deepEqual([message], signed)
    assert.deepEqual({ signature, flags, counter }, { signature: Buffer.alloc(64, 1), flags: 5, counter: 9 })
  })

  it('has 1024 bytes with a certificate', async () => {
    const certificate = Buffer.alloc(300, 3)
    const packet = await knocks(fakeSigner({ certificate }).signer).make('a', anyPort)
    assert.equal(packet.bytes.length, 1024)
    assert.deepEqual(opened(packet).signer, { certificate })
  })

  it('asks for another address, and for the prefix of a source of its version of IP', async () => {
    const asked = async (address: string, flags: KnockFlags, place = {}) => {
      const made = knocks(fakeSigner().signer, readWishes(flags, null, false, place))
      const { prefix, other } = opened(await made.make(address, anyPort)).request
      return { prefix, other: other?.toString('hex') }
    }
    const also = { other: 'c0000207' }
    assert.deepEqual(await asked('2001:db8::1', { prefix: '64', also: '192.0.2.7' }), { prefix: 64, ...also })
    assert.deepEqual(await asked('192.0.2.1', { prefix: '64', also: '192.0.2.7' }), { prefix: null, ...also })
    assert.deepEqual(await asked('192.0.2.1', { prefix: '24' }), { prefix: 24, other: undefined })
    assert.deepEqual(await asked('2001:db8::1', { prefix: '24' }), { prefix: null, other: undefined })
    const place = { prefix: 28, also: Buffer.from([192, 0, 2, 7]) }
    assert.deepEqual(await asked('192.0.2.1', {}, place), { prefix: 28, ...also })
    assert.deepEqual(await asked('192.0.2.1', { prefix: '24', also: '192.0.2.8' }, place), {
      ...{ prefix: 24, other: 'c0000208' },
    })
    const closing = readWishes({}, null, true, place)
    assert.deepEqual([closing.prefix, closing.other], [null, null], 'a closing knock asks for neither')
  })

  it('asks to close', async () => {
    const { request } = opened(await knocks(fakeSigner().signer, wishes({}, null, true)).make('a', anyPort))
    assert.equal(request.close, true)
  })

  it('is signed each time, to a port of its own', async () => {
    const { signer, signed } = fakeSigner()
    let port = 4000
    const made = knocks(signer)
    const packets = [await made.make('a', () => ++port), await made.make('a', () => ++port)]
    assert.deepEqual(
      packets.map(packet => packet.port),
      [4001, 4002],
    )
    packets.forEach(opened)
    assert.equal(signed.length, 2)
  })

  it('is sent as a copy where a person would be asked again; each address has its own', async () => {
    const { signer, signed } = fakeSigner({ asksPerson: true })
    let port = 4000
    const made = knocks(signer)
    const [one, again, other] = [
      await made.make('a', () => ++port),
      await made.make('a', () => ++port),
      await made.make('b', () => ++port),
    ]
    assert.deepEqual(again, one)
    assert.notDeepEqual(other.bytes, one.bytes)
    assert.equal(signed.length, 2)
  })

  it('asks a person not again who has failed', async () => {
    const { signer, signed } = fakeSigner({ fails: new UserError('the passphrase is wrong') })
    const made = knocks(signer)
    const results = await Promise.allSettled([made.make('a', anyPort), made.make('b', anyPort)])
    assert.deepEqual(
      results.map(result => (result.status === 'rejected' ? (result.reason as Error).message : 'made')),
      ['the passphrase is wrong', 'the passphrase is wrong'],
    )
    assert.equal(signed.length, 1)
  })

  const mistakes: readonly [string, () => unknown, RegExp][] = [
    ['a name that no service has', () => wishes({ service: ['a b'] }), /'a b' cannot be the name of a service/],
    ['a window of nothing', () => wishes({ window: '0' }), /--window takes a time from 1s/],
    ['a window that no packet carries', () => wishes({ window: '50000d' }), /--window takes a time from 1s/],
    ['a window that is none', () => wishes({ window: 'long' }), /expected seconds/],
    ['a window for closing', () => wishes({ window: '1h' }, null, true), /--close and --window exclude/],
    ['a prefix for closing', () => wishes({ prefix: '64' }, null, true), /--close and --prefix exclude/],
    ['another address for closing', () => wishes({ also: '::1' }, null, true), /--close and --also exclude/],
    ['a prefix of nothing', () => wishes({ prefix: '0' }), /expected a number of bits from 1 to 128, not '0'/],
    ['a prefix that is none', () => wishes({ prefix: '/64' }), /expected a number of bits/],
    ['another address that is none', () => wishes({ also: 'home' }), /'home'/],
    [
      'too many services',
      () => knocks(fakeSigner().signer, wishes({ service: ['a', 'b'].map(letter => letter.repeat(40)) })),
      /the names of 2 services do not fit into one knock/,
    ],
    [
      'a certificate that is too large',
      () => knocks(fakeSigner({ certificate: Buffer.alloc(799) }).signer),
      /the certificate 'id' of 799 bytes does not fit/,
    ],
  ]
  for (const [name, work, error] of mistakes) it(`one clear error for ${name}`, () => void assert.throws(work, error))
})
