/** Lists of revoked keys, made by `ssh-keygen -k`; `ssh-keygen -Q` must say the same of each key. */
import assert from 'node:assert/strict'
import * as crypto from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import type { Revocations } from '../../../../src/knock/openssh/index.js'
import {
  parseCertificate,
  parsePublicKey,
  parseRevocations,
  SshFormatError,
} from '../../../../src/knock/openssh/index.js'
import { sshString } from '../../../../src/knock/openssh/wire.js'
import { orRefused } from '../../../fuzz/properties.js'
import { blobOf, OpenSsh } from '../../../support/openssh.js'

const keys = ['alice', 'bob', 'carol'] as const
/** Certificates of alice, by CA and serial number. */
const certificates = [
  ['ca', '1'],
  ['ca', '2'],
  ['ca', '40'],
  ['ca', '1000'],
  ['ca', '18446744073709551615'],
  ['ca', '0'],
  ['other-ca', '1'],
] as const
const nameOf = ([ca, serial]: readonly [string, string]) => `${ca}-${serial}-cert.pub`

describe('revocations', () => {
  let openssh: OpenSsh
  before(() => {
    openssh = new OpenSsh()
    for (const name of [...keys, 'ca', 'other-ca']) openssh.key(name, '-t', name === 'bob' ? 'ecdsa' : 'ed25519')
    for (const one of certificates) {
      const [ca, serial] = one
      openssh.must('-q', '-s', ca, '-I', `${ca} ${serial}`, '-n', 'alice', '-z', serial, 'alice.pub')
      openssh.write(nameOf(one), openssh.read('alice-cert.pub'))
    }
  })
  after(() => openssh.remove())

  const krl = (specification: string, ...options: readonly string[]) => {
    openssh.write('spec', specification)
    openssh.must('-q', '-k', '-f', 'krl', ...options, 'spec')
  }

  /**
   * All names, of keys and of certificates, that the file revokes. ssh-keygen is asked about each one, too; it reads no
   * lists in text, as sshd does.
   */
  const revokedBy = (file: string) => {
    const bytes = openssh.readBytes(file)
    const list: Revocations = parseRevocations(bytes)
    const names = [...keys.map(name => `${name}.pub`), ...certificates.map(nameOf)]
    return names.filter(name => {
      const blob = blobOf(openssh.read(name))
      const revoked = list.isRevoked(name.endsWith('-cert.pub') ? parseCertificate(blob) : parsePublicKey(blob))
      const asked = file === 'krl' && openssh.keygen(['-Q', '-f', file, name])
      if (asked) assert.match(asked.stdout.toString(), revoked ? /: REVOKED$/m : /: ok$/m, `ssh-keygen about ${name}`)
      return revoked
    })
  }

  const sha = (name: string, algorithm: string) => {
    const hash = crypto.createHash(algorithm).update(blobOf(openssh.read(`${name}.pub`)))
    return hash.digest('base64').replace(/=+$/, '')
  }
  const ofAlice = certificates.map(nameOf)
  const ofCa = (...serials: readonly string[]) => serials.map(serial => nameOf(['ca', serial]))

  const cases: readonly [string, () => string, readonly string[], () => readonly string[]][] = [
    ['nothing', () => '', [], () => []],
    ['a key', () => `key: ${openssh.read('bob.pub')}`, [], () => ['bob.pub']],
    ['the key of certificates', () => `key: ${openssh.read('alice.pub')}`, [], () => ['alice.pub', ...ofAlice]],
    ['the key of the CA', () => `key: ${openssh.read('ca.pub')}`, [], () => ofAlice.slice(0, -1)],
    ['a hash with SHA-256', () => `hash: SHA256:${sha('carol', 'sha256')}`, [], () => ['carol.pub']],
    ['a key by SHA-256', () => `sha256: ${openssh.read('carol.pub')}`, [], () => ['carol.pub']],
    ['a key by SHA-1', () => `sha1: ${openssh.read('alice.pub')}`, [], () => ['alice.pub', ...ofAlice]],
    ['a serial number', () => 'serial: 2', ['-s', 'ca.pub'], () => ofCa('2')],
    [
      'the last serial number',
      () => 'serial: 18446744073709551615',
      ['-s', 'ca.pub'],
      () => ofCa('18446744073709551615'),
    ],
    ['a range', () => 'serial: 2-999', ['-s', 'ca.pub'], () => ofCa('2', '40')],
    [
      'several, as a bitmap',
      () =>
        '1 3 5 7 9 12 15 21 23 27 40'
          .split(' ')
          .map(n => `serial: ${n}`)
          .join('\n'),
      ['-s', 'ca.pub'],
      () => ofCa('1', '40'),
    ],
    ['a list far apart', () => 'serial: 1\nserial: 1000\nserial: 100000000', ['-s', 'ca.pub'], () => ofCa('1', '1000')],
    ['a serial number of all CAs', () => 'serial: 1', ['-s', 'none'], () => [...ofCa('1'), 'other-ca-1-cert.pub']],
    ['a key id', () => 'id: ca 40', ['-s', 'ca.pub'], () => ofCa('40')],
    ['a key id of a certificate without a number', () => 'id: ca 0', ['-s', 'ca.pub'], () => ofCa('0')],
    ['a key id of all CAs', () => 'id: other-ca 1', ['-s', 'none'], () => ['other-ca-1-cert.pub']],
  ]
  for (const [name, specification, options, want] of cases) {
    it(`a key revocation list of ${name}`, () => {
      krl(specification(), ...options)
      assert.deepEqual(revokedBy('krl'), want())
    })
  }

  it('a list of public keys, as text', () => {
    openssh.write('list', `# revoked\n\n${openssh.read('bob.pub')}  ${openssh.read('ca.pub')}`)
    assert.deepEqual(revokedBy('list'), ['bob.pub', ...ofAlice.slice(0, -1)])
    openssh.write('list', openssh.read('ca-1-cert.pub'))
    assert.deepEqual(revokedBy('list'), ['alice.pub', ...ofAlice])
    openssh.write('list', '')
    assert.deepEqual(revokedBy('list'), [])
    openssh.key('rsa', '-t', 'rsa')
    openssh.write('list', `${openssh.read('rsa.pub')}${openssh.read('bob.pub')}`)
    assert.deepEqual(revokedBy('list'), ['bob.pub'])
  })

  const uint64 = (value: bigint) => Buffer.from(value.toString(16).padStart(16, '0'), 'hex')
  const header = (version = 1, flags = 0n) =>
    Buffer.concat([
      Buffer.from('SSHKRL\n\0'),
      Buffer.from([0, 0, 0, version]),
      uint64(1n),
      uint64(0n),
      uint64(flags),
      Buffer.alloc(8),
    ])
  const section = (kind: number, ...contents: Buffer[]) =>
    Buffer.concat([Buffer.from([kind]), sshString(Buffer.concat(contents))])
  const ofAll = (...subsections: Buffer[]) => section(1, sshString(''), sshString(''), ...subsections)
  const extension = (critical: number) => [sshString('new@example.org'), Buffer.from([critical]), sshString('x')]

  it('extensions that are not critical are ignored', () => {
    parseRevocations(Buffer.concat([header(), section(255, ...extension(0)), ofAll(section(0x39, ...extension(0)))]))
  })

  const refused: readonly [string, Buffer, RegExp][] = [
    ['a line that is no key', Buffer.from('# a\n\nnonsense\n'), /^line 3: there is no public key$/],
    ['a broken key', Buffer.from('ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB\n'), /^line 1: /],
    ['other bytes', Buffer.from([0xff, 0, 1]), /neither a key revocation list/],
    ['the beginning of a list', header().subarray(0, 7), /^line 1: |neither a key/],
    ['another version', header(2), /an unknown version/],
    ['flags', header(1, 1n), /unknown flags/],
    ['an unknown section', Buffer.concat([header(), section(6)]), /a section of the unknown kind 6/],
    ['a signature', Buffer.concat([header(), section(4)]), /signed within/],
    ['a critical extension', Buffer.concat([header(), section(255, ...extension(1))]), /unknown critical extension/],
    ['a boolean of 2', Buffer.concat([header(), section(255, ...extension(2))]), /neither 0 nor 1/],
    [
      'a critical extension for certificates',
      Buffer.concat([header(), ofAll(section(0x39, ...extension(1)))]),
      /unknown critical extension/,
    ],
    ['an unknown subsection', Buffer.concat([header(), ofAll(section(0x24))]), /a subsection of the unknown kind 36/],
    [
      'a range backwards',
      Buffer.concat([header(), ofAll(section(0x21, uint64(2n), uint64(1n)))]),
      /ends before it begins/,
    ],
    [
      'a range and more',
      Buffer.concat([header(), ofAll(section(0x21, uint64(1n), uint64(2n), uint64(3n)))]),
      /bytes after its end/,
    ],
    [
      'a bitmap beyond the end',
      Buffer.concat([header(), ofAll(section(0x22, uint64(2n ** 64n - 1n), sshString(Buffer.from([2]))))]),
      /beyond the last serial/,
    ],
    [
      'a negative bitmap',
      Buffer.concat([header(), ofAll(section(0x22, uint64(1n), sshString(Buffer.from([0x80]))))]),
      /negative/,
    ],
    [
      'a bitmap with needless zeros',
      Buffer.concat([header(), ofAll(section(0x22, uint64(1n), sshString(Buffer.from([0, 1]))))]),
      /needless zeros/,
    ],
    ['half a serial number', Buffer.concat([header(), ofAll(section(0x20, Buffer.alloc(7)))]), /ends too early/],
    ['a short hash', Buffer.concat([header(), section(5, sshString(Buffer.alloc(20)))]), /hash of another length/],
    [
      'a certificate as a key',
      Buffer.concat([header(), section(2, sshString(sshString('ssh-ed25519-cert-v01@openssh.com')))]),
      /a certificate in place of a key/,
    ],
  ]
  for (const [name, bytes, message] of refused) {
    it(`refused as a whole: ${name}`, () => {
      assert.throws(
        () => parseRevocations(bytes),
        error => error instanceof SshFormatError && message.test(error.message),
      )
    })
  }

  it('the last bit of a bitmap may be the last serial number', () => {
    parseRevocations(
      Buffer.concat([header(), ofAll(section(0x22, uint64(2n ** 64n - 1n), sshString(Buffer.from([1]))))]),
    )
  })

  it('of a list that is cut off anywhere nothing is taken', () => {
    krl(`key: ${openssh.read('bob.pub')}\nserial: 2\nserial: 7-90\nid: x`, '-s', 'ca.pub')
    const whole = openssh.readBytes('krl')
    let cut = 0
    for (let length = 1; length < whole.length; length++) {
      if (orRefused(() => parseRevocations(whole.subarray(0, length)), SshFormatError)) cut++
    }
    // At the ends of sections a shorter list is a list.
    assert.ok(cut <= 3, `${cut} shorter lists were read`)
  })

  it('of any bytes at most a clear error comes', () => {
    krl(`key: ${openssh.read('bob.pub')}\nserial: 2\nserial: 7-90\nid: x`, '-s', 'ca.pub')
    const whole = openssh.readBytes('krl')
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, value) => {
        const copy = Buffer.from(whole)
        copy.writeUInt8(value, at)
        orRefused(() => parseRevocations(copy), SshFormatError)
      }),
    )
  })
})
