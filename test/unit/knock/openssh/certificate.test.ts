/** Public keys and certificates, made by ssh-keygen and by hand, and what is refused of them. */
import assert from 'node:assert/strict'
import * as crypto from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import type { SshCertificate } from '../../../../src/knock/openssh/index.js'
import {
  certificateRefusal,
  parseCertificate,
  parsePublicKey,
  SshFormatError,
} from '../../../../src/knock/openssh/index.js'
import { SshReader, sshString } from '../../../../src/knock/openssh/wire.js'
import { orRefused } from '../../../fuzz/properties.js'
import { blobOf, OpenSsh, withoutToken } from '../../../support/openssh.js'
import { testKey } from './sshsig.js'

const refused = (read: () => unknown, message: RegExp) =>
  assert.throws(read, error => error instanceof SshFormatError && message.test(error.message))

describe('public keys', () => {
  let openssh: OpenSsh
  before(() => (openssh = new OpenSsh()))
  after(() => openssh.remove())

  it('have the fingerprint that ssh-keygen prints', () => {
    for (const type of ['ed25519', 'ecdsa']) {
      const key = parsePublicKey(blobOf(openssh.key(type, '-t', type)))
      const printed = openssh.must('-l', '-f', `${type}.pub`).toString()
      assert.ok(printed.includes(`SHA256:${key.fingerprint.toString('base64').replace(/=+$/, '')} `), printed)
    }
  })

  const others = [
    ['rsa', [], /^an RSA key does not fit into a knock; use an Ed25519 or ECDSA P-256 key$/],
    ['ecdsa', ['-b', '384'], /^keys of type 'ecdsa-sha2-nistp384' are not supported; use/],
    ['ecdsa', ['-b', '521'], /^keys of type 'ecdsa-sha2-nistp521' are not supported; use/],
  ] as const
  for (const [type, options, message] of others) {
    it(`refused with a sentence: ${type} ${options.join(' ')}`, () => {
      const line = openssh.key(`other-${type}${options.join('')}`, '-t', type, ...options)
      refused(() => parsePublicKey(blobOf(line)), message)
    })
  }

  const ed25519 = testKey('ssh-ed25519').blob
  const p256 = testKey('ecdsa-sha2-nistp256').blob
  const token = testKey('sk-ssh-ed25519@openssh.com').blob
  const point = p256.subarray(-65)
  const ecdsa = (...fields: (string | Buffer)[]) => Buffer.concat(fields.map(sshString))
  const compressed = Buffer.concat([Buffer.from([2 + (p256.readUInt8(p256.length - 1) & 1)]), point.subarray(1, 33)])
  const offCurve = Buffer.from(point)
  offCurve.writeUInt8(offCurve.readUInt8(64) ^ 1, 64)
  const malformed: readonly [string, Buffer, RegExp][] = [
    ['nothing', Buffer.alloc(0), /ends too early/],
    ['a byte more', Buffer.concat([ed25519, Buffer.alloc(1)]), /bytes after its end/],
    ['a length beyond the end', Buffer.from('ffffffff', 'hex'), /ends too early/],
    ['31 bytes of Ed25519', ecdsa('ssh-ed25519', Buffer.alloc(31)), /31 bytes in place of 32/],
    ['33 bytes of Ed25519', ecdsa('ssh-ed25519', Buffer.alloc(33)), /33 bytes in place of 32/],
    ['another curve', ecdsa('ecdsa-sha2-nistp256', 'nistp384', point), /the curve 'nistp384'/],
    ['a compressed point', ecdsa('ecdsa-sha2-nistp256', 'nistp256', compressed), /no uncompressed point/],
    [
      'a hybrid point',
      ecdsa('ecdsa-sha2-nistp256', 'nistp256', Buffer.concat([Buffer.from([6]), point.subarray(1)])),
      /no uncompressed point/,
    ],
    ['a point off the curve', ecdsa('ecdsa-sha2-nistp256', 'nistp256', offCurve), /not on its curve/],
    ['the point at infinity', ecdsa('ecdsa-sha2-nistp256', 'nistp256', Buffer.alloc(65)), /no uncompressed point/],
    [
      'zeros as a point',
      ecdsa('ecdsa-sha2-nistp256', 'nistp256', Buffer.concat([Buffer.from([4]), Buffer.alloc(64)])),
      /not on its curve/,
    ],
    ['a token without an application', token.subarray(0, -8), /ends too early/],
    ['an application on a plain key', Buffer.concat([ed25519, sshString('ssh:')]), /bytes after its end/],
    ['an application with a NUL', Buffer.concat([token.subarray(0, -8), sshString('a\0')]), /NUL/],
    ['a type with a NUL', ecdsa('ssh-ed25519\0', Buffer.alloc(32)), /NUL/],
    ['a type that is not UTF-8', ecdsa(Buffer.from([0xff]), Buffer.alloc(32)), /not UTF-8/],
    ['a type of every object', ecdsa('constructor', Buffer.alloc(32)), /'constructor' are not supported/],
    ['a certificate', ecdsa('ssh-ed25519-cert-v01@openssh.com'), /is a certificate, not a public key/],
  ]
  for (const [name, blob, message] of malformed) {
    it(`refused: ${name}`, () => refused(() => parsePublicKey(blob), message))
  }

  it('of any bytes at most a clear error comes', () => {
    fc.assert(
      fc.property(fc.constantFrom(ed25519, p256, token), fc.nat(), fc.nat(255), fc.nat(), (blob, at, value, length) => {
        const copy = Buffer.from(blob)
        copy.writeUInt8(value, at % copy.length)
        const key = orRefused(
          () => parsePublicKey(copy.subarray(0, length % 4 === 0 ? length % copy.length : undefined)),
          SshFormatError,
        )
        if (key) assert.deepEqual(key.blob, copy)
      }),
    )
  })
})

describe('certificates', () => {
  let openssh: OpenSsh
  before(() => {
    openssh = new OpenSsh()
    openssh.key('ca', '-t', 'ed25519')
    openssh.key('ca-ecdsa', '-t', 'ecdsa')
    openssh.key('user', '-t', 'ed25519')
  })
  after(() => openssh.remove())

  const make = (...options: readonly string[]) => openssh.certificate('ca', 'user', ...options)
  const parse = (...options: readonly string[]): SshCertificate => parseCertificate(blobOf(make(...options)))

  it('say what ssh-keygen wrote into them', () => {
    const certificate = parse('-z', '18446744073709551615', '-n', 'alice,bob', '-V', '20260101000000Z:20270101000000Z')
    assert.equal(certificate.serial, 18_446_744_073_709_551_615n)
    assert.equal(certificate.keyId, 'id of user')
    assert.deepEqual(certificate.principals, ['alice', 'bob'])
    assert.equal(certificate.validAfter, BigInt(Date.UTC(2026, 0, 1) / 1000))
    assert.equal(certificate.validBefore, BigInt(Date.UTC(2027, 0, 1) / 1000))
    assert.deepEqual(certificate.criticalOptions, {})
    assert.ok(certificate.extensions.has('permit-pty'))
    assert.deepEqual(certificate.publicKey.blob, blobOf(openssh.read('user.pub')))
    assert.deepEqual(certificate.caKey.blob, blobOf(openssh.read('ca.pub')))
    assert.equal(certificate.verifyCa(), true)
  })

  for (const [key, ca] of [
    ['ed25519', 'ca'],
    ['ed25519', 'ca-ecdsa'],
    ['ecdsa', 'ca'],
    ['ecdsa', 'ca-ecdsa'],
  ] as const) {
    it(`of ${key}, signed by ${ca}`, async () => {
      openssh.key(`${key}-${ca}`, '-t', key)
      const certificate = parseCertificate(blobOf(openssh.certificate(ca, `${key}-${ca}`, '-n', 'alice')))
      assert.equal(certificate.verifyCa(), true)
      assert.equal(await certificate.verifyCaAsync(), true)
    })
  }

  for (const type of ['ed25519-sk', 'ecdsa-sk']) {
    it(`of ${type}, and signed by one`, { skip: withoutToken }, async () => {
      openssh.key(type, '-t', type)
      const ofToken = parseCertificate(blobOf(openssh.certificate('ca', type, '-n', 'alice')))
      assert.deepEqual(ofToken.publicKey.blob, blobOf(openssh.read(`${type}.pub`)))
      assert.equal(await ofToken.verifyCaAsync(), true)
      const byToken = parseCertificate(blobOf(openssh.certificate(type, 'user', '-n', 'alice')))
      assert.equal(byToken.verifyCa(), true)
    })
  }

  it('with critical options', () => {
    const certificate = parse(
      ...['-n', 'alice', '-O', 'clear', '-O', 'force-command=date', '-O', 'verify-required', '-O', 'no-touch-required'],
      ...['-O', 'source-address=192.0.2.0/24,2001:db8::1/128', '-O', 'extension:login@example.org=alice'],
    )
    assert.deepEqual(certificate.criticalOptions, {
      forceCommand: 'date',
      sourceAddress: ['192.0.2.0/24', '2001:db8::1/128'],
      verifyRequired: true,
    })
    assert.deepEqual([...certificate.extensions], ['login@example.org', 'no-touch-required'])
  })

  it('an unknown critical option is refused', () => {
    const line = make('-O', 'critical:new@example.org=x')
    refused(() => parseCertificate(blobOf(line)), /the unknown critical option 'new@example.org'/)
  })

  it('those of hosts, and of other keys and CAs, are refused with a sentence', () => {
    openssh.must('-q', '-s', 'ca', '-h', '-I', 'host', 'user.pub')
    refused(() => parseCertificate(blobOf(openssh.read('user-cert.pub'))), /is for a host, not for a user/)
    openssh.key('rsa', '-t', 'rsa')
    refused(() => parseCertificate(blobOf(openssh.certificate('ca', 'rsa'))), /an RSA key does not fit/)
    const byRsa = openssh.certificate('rsa', 'user')
    refused(() => parseCertificate(blobOf(byRsa)), /^the key of the CA is not accepted: an RSA key/)
    refused(() => parseCertificate(blobOf(openssh.read('ca.pub'))), /'ssh-ed25519' is not a type of certificate/)
  })

  const now = Math.floor(Date.UTC(2026, 5, 1) / 1000)
  const here = { now, source: '192.0.2.7', principals: ['alice', 'ssh'] }
  const uses: readonly [string, readonly string[], Partial<typeof here>, RegExp | undefined][] = [
    ['valid', ['-n', 'alice'], {}, undefined],
    ['one principal of two', ['-n', 'carol,ssh'], {}, undefined],
    ['another principal', ['-n', 'carol'], {}, /^wrong-principal$/],
    ['a principal in capitals', ['-n', 'Alice'], {}, /^wrong-principal$/],
    ['no principal', [], {}, /^wrong-principal$/],
    ['expired', ['-n', 'alice', '-V', '20250101000000Z:20260101000000Z'], {}, /^certificate-expired$/],
    ['not yet valid', ['-n', 'alice', '-V', '20270101000000Z:20280101000000Z'], {}, /^certificate-not-yet-valid$/],
    ['the first second', ['-n', 'alice', '-V', '20260601000000Z:20270101000000Z'], {}, undefined],
    [
      'the second before',
      ['-n', 'alice', '-V', '20260601000000Z:20270101000000Z'],
      { now: now - 1 },
      /^certificate-not-yet-valid$/,
    ],
    ['the last second', ['-n', 'alice', '-V', '20250101000000Z:20260601000000Z'], { now: now - 1 }, undefined],
    ['the second after', ['-n', 'alice', '-V', '20250101000000Z:20260601000000Z'], {}, /^certificate-expired$/],
    ['a source address', ['-n', 'alice', '-O', 'source-address=192.0.2.0/24'], {}, undefined],
    ['another source address', ['-n', 'alice', '-O', 'source-address=198.51.100.0/24'], {}, /^source-not-allowed$/],
    ['one of another family', ['-n', 'alice', '-O', 'source-address=::/0'], {}, /^source-not-allowed$/],
    ['the second of two', ['-n', 'alice', '-O', 'source-address=::/0,192.0.2.7/32'], {}, undefined],
  ]
  for (const [name, options, use, want] of uses) {
    it(`used: ${name}`, () => {
      const reason = certificateRefusal(parse(...options), { ...here, ...use })
      if (want) assert.match(reason ?? 'accepted', want)
      else assert.equal(reason, undefined)
    })
  }

  it('with any byte changed are refused, by ssh-keygen too', () => {
    const line = make('-n', 'alice', '-O', 'source-address=192.0.2.0/24')
    const blob = blobOf(line)
    for (let at = 0; at < blob.length; at++) {
      const copy = Buffer.from(blob)
      copy.writeUInt8(copy.readUInt8(at) ^ (1 << (at % 8)), at)
      const read = orRefused(() => parseCertificate(copy), SshFormatError)
      assert.notEqual(read?.verifyCa(), true, `byte ${at}`)
      // One of some, as each is a run of a program.
      if (at % 8 > 0) continue
      const type = new SshReader(copy, 'a copy')
      const named = orRefused(() => type.text(), SshFormatError) ?? 'none'
      openssh.write('changed-cert.pub', `${named} ${copy.toString('base64')}\n`)
      assert.notEqual(openssh.keygen(['-L', '-f', 'changed-cert.pub']).status, 0, `byte ${at} for ssh-keygen`)
    }
  })

  /** A certificate made here, of parts that ssh-keygen does not make. */
  const built = (parts: { principals?: Buffer; options?: Buffer; extensions?: Buffer; from?: bigint; to?: bigint }) => {
    const ca = testKey('ssh-ed25519')
    const user = testKey('ssh-ed25519')
    const uint64 = (value: bigint) => Buffer.from(value.toString(16).padStart(16, '0'), 'hex')
    const signed = Buffer.concat([
      sshString('ssh-ed25519-cert-v01@openssh.com'),
      sshString(crypto.randomBytes(32)),
      user.blob.subarray(-36),
      uint64(1n),
      Buffer.from([0, 0, 0, 1]),
      sshString('id'),
      sshString(parts.principals ?? sshString('alice')),
      uint64(parts.from ?? 0n),
      uint64(parts.to ?? 2n ** 64n - 1n),
      sshString(parts.options ?? ''),
      sshString(parts.extensions ?? ''),
      sshString(''),
      sshString(ca.blob),
    ])
    return Buffer.concat([signed, sshString(Buffer.concat([sshString('ssh-ed25519'), sshString(Buffer.alloc(64))]))])
  }
  const option = (name: string, data: string | Buffer = '') => Buffer.concat([sshString(name), sshString(data)])
  const unusual: readonly [string, Parameters<typeof built>[0], RegExp][] = [
    ['options out of order', { extensions: Buffer.concat([option('b'), option('a')]) }, /not in order at 'a'/],
    ['an option twice', { extensions: Buffer.concat([option('a'), option('a')]) }, /not in order at 'a'/],
    ['verify-required with a value', { options: option('verify-required', Buffer.from('x')) }, /bytes after its end/],
    [
      'a source-address that is none',
      { options: option('source-address', sshString('192.0.2.*')) },
      /is not a list of prefixes/,
    ],
    [
      'a source-address with host bits',
      { options: option('source-address', sshString('192.0.2.1/24')) },
      /is not a list of prefixes/,
    ],
    [
      '257 principals',
      { principals: Buffer.concat(Array.from({ length: 257 }, () => sshString('a'))) },
      /more than 256/,
    ],
    ['a principal with a NUL', { principals: sshString('a\0') }, /NUL/],
    ['an end before the beginning', { from: 2n, to: 2n }, /never valid/],
  ]
  it('those of other programs are read as well', () => assert.equal(parseCertificate(built({})).verifyCa(), false))
  for (const [name, parts, message] of unusual) {
    it(`refused: ${name}`, () => refused(() => parseCertificate(built(parts)), message))
  }
})
