/** fwknop's packet beyond what the vectors of its client show: what that client never sends. */
import assert from 'node:assert/strict'
import { createHash, createHmac } from 'node:crypto'
import { describe, it } from 'node:test'
import { decodeBase64, makeContainer, openContainer, packetLengths } from '../../../src/knock/fwknop/container.js'
import type { FwknopSecret } from '../../../src/knock/fwknop/fwknop-format.js'
import { fwknop } from '../../../src/knock/fwknop/fwknop-format.js'
import { parseLine } from '../../../src/knock/fwknop/line.js'
import { fwknopKeys } from '../../support/fwknop.js'

const secret: FwknopSecret = {
  key: Buffer.from(fwknopKeys.key),
  hmacKey: Buffer.from(fwknopKeys['hmac-key']),
  hmac: 'sha256',
  user: null,
  requireSourceAddress: false,
  expires: null,
  maxWindow: 300,
}
const base64 = (text: string) => Buffer.from(text, 'latin1').toString('base64').replace(/=+$/, '')
const withDigest = (line: string) =>
  Buffer.from(`${line}:${createHash('sha256').update(line).digest('base64').slice(0, 43)}`, 'latin1')
/** A line of these fields, each as it should be unless said. */
const lineOf = (
  fields: Partial<Record<'random' | 'user' | 'time' | 'version' | 'type' | 'message' | 'rest', string>>,
) => {
  const right = { random: '1111222233334444', user: base64('alice'), time: '1700000000', version: '3.0.0', type: '1' }
  const {
    random,
    user,
    time,
    version,
    type,
    message,
    rest = '',
  } = {
    ...right,
    message: base64('192.0.2.7,tcp/22'),
    ...fields,
  }
  return withDigest(`${random}:${user}:${time}:${version}:${type}:${message}${rest}`)
}
const verified = (line: Buffer, given = secret) => {
  const packet = makeContainer(line, Buffer.from('0001020304050607', 'hex'), given)
  return fwknop.verify(packet, 0, 62_201, given, packet.length)
}

describe("fwknop's packet", () => {
  it('is the one of the description of its format', () => {
    const wire =
      '8AAQIDBAUGB9y3oWb1nAWloISgSnUsJu7IP0k7FastynMsn23Eu/rTxJhMOgm1OFlCylYWSRoubVouv6tv6pSEg5iM8eqzXrZ2Flji93SrE7yAdjswVe6HBIeIaoUjsC9SzW+TLucGu5z1cviC1CR/biRTraOVawAwjXUjH8qbzw5ofiCUyOzCg84DYTCwwpwfhkgGT0LqtM'
    const line = lineOf({})
    assert.equal(makeContainer(line, Buffer.from('0001020304050607', 'hex'), secret).toString(), wire)
    assert.deepEqual(openContainer(Buffer.from(wire), secret), line)
  })

  it('begins with the magic of openssl, also its last four bits, which are not cut off', () => {
    const packet = makeContainer(lineOf({}), Buffer.alloc(8, 1), secret)
    assert.ok('89+/'.includes(String.fromCharCode(packet[0] ?? 0)))
    packet[0] = 'A'.charCodeAt(0)
    const text = packet.subarray(0, -43)
    const hmac = createHmac('sha256', secret.hmacKey).update('U2FsdGVkX1').update(text).digest('base64').slice(0, 43)
    packet.write(hmac, text.length, 'latin1')
    assert.equal(openContainer(packet, secret), undefined)
  })

  it('has these lengths, below those that are GnuPG to its clients', () => {
    assert.deepEqual(packetLengths('sha256'), [161, 183, 204, 225, 247, 268, 289, 311, 332, 353, 375, 396, 417])
    assert.deepEqual(packetLengths('sha512').slice(0, 2), [204, 226])
    assert.equal(packetLengths('md5').length, 13)
  })

  it('has a time beyond 2038', () => {
    const time = 2 ** 31 + 5
    assert.equal(verified(lineOf({ time: String(time) }))?.time, time)
  })

  it('carries a timeout of its client, up to the most', () => {
    const asked = (rest: string) => verified(lineOf({ type: '3', rest }))?.asks?.seconds
    assert.deepEqual(
      [asked(':90'), asked(':300'), asked(':301'), asked(':65536'), asked(':0')],
      [90, 300, 300, 300, undefined],
    )
    // Before it, there can be an authentication, of digits alone as well.
    assert.equal(asked(':MTIz:90'), 90)
  })

  it('has its digest for a memory where no part of it can be spelled otherwise', () => {
    const packet = makeContainer(lineOf({}), Buffer.alloc(8, 1), secret)
    const { digestAt = 0 } = fwknop.verify(packet, 0, 1, secret, packet.length) ?? {}
    assert.equal(digestAt, packet.length - 43)
  })

  const unreadable: readonly [string, Buffer][] = [
    ['a wrong digest', Buffer.from(`${lineOf({}).toString('latin1').slice(0, -1)}A`)],
    ['no digest', Buffer.from('1111222233334444:YWxpY2U:1700000000:3.0.0:1:MTkyLjAuMi43LHRjcC8yMg')],
    ['no colon', Buffer.from('1111222233334444')],
    ['nothing', Buffer.alloc(0)],
    ['a byte that is not ASCII', lineOf({ version: '3.0\u00e9' })],
    ['a line break', lineOf({ version: '3.0\n' })],
    ['a random value of 15 digits', lineOf({ random: '111122223333444' })],
    ['a random value with a sign', lineOf({ random: '+111222233334444' })],
    ['a time with a sign', lineOf({ time: '+1700000000' })],
    ['a time with a space', lineOf({ time: ' 1700000000' })],
    ['a time that ends in letters', lineOf({ time: '1700000000x' })],
    ['a time that no number holds', lineOf({ time: '9999999999999999' })],
    ['a version that is too long', lineOf({ version: '1.2.3.4.5' })],
    ['a field that is ignored, with a control character', lineOf({ rest: ':\u0001' })],
    ['a field that is ignored, with a letter that is not ASCII', lineOf({ rest: ':\u00e9' })],
    ['an unknown type', lineOf({ type: '7' })],
    ['a type with a space', lineOf({ type: ' 1' })],
  ]
  for (const [name, line] of unreadable) {
    it(`is not made by its clients with ${name}`, () => {
      assert.equal(parseLine(line), undefined)
      assert.equal(verified(line), undefined)
    })
  }

  const message = (text: string) => lineOf({ message: base64(text) })
  const bad: readonly [string, Buffer][] = [
    ['an octal number in the address', message('192.0.2.010,tcp/22')],
    ['an address of three numbers', message('192.0.2,tcp/22')],
    ['a number above 255', message('192.0.2.256,tcp/22')],
    ['a name for an address', message('localhost,tcp/22')],
    ['an address of IPv6', message('2001:db8::1,tcp/22')],
    ['no port', message('192.0.2.7')],
    ['no port behind the comma', message('192.0.2.7,')],
    ['port 0', message('192.0.2.7,tcp/0')],
    ['port 65536', message('192.0.2.7,tcp/65536')],
    ['a range of ports', message('192.0.2.7,tcp/22-30')],
    ['a port with a space', message('192.0.2.7,tcp/ 22')],
    ['another protocol', message('192.0.2.7,icmp/0')],
    ['another protocol and a port', message('192.0.2.7,icmp/22')],
    ['none', message('192.0.2.7,none/0')],
    ['one good port and one that is none', message('192.0.2.7,tcp/22,tcp/x')],
    ['base64 with =', lineOf({ message: `${base64('192.0.2.7,tcp/220')}=` })],
    ['base64 in another spelling', lineOf({ message: base64('192.0.2.7,tcp/22').replace(/g$/, 'h') })],
    ['a user with a slash', lineOf({ user: base64('a/b') })],
    ['no user', lineOf({ user: '' })],
    ['a timeout of letters', lineOf({ type: '3', rest: ':9x' })],
    ['a timeout above the most', lineOf({ type: '3', rest: ':65537' })],
    ['a timeout in hex', lineOf({ type: '3', rest: ':0x10' })],
    ['a timeout with an exponent', lineOf({ type: '3', rest: ':1e3' })],
    ['a timeout with a sign', lineOf({ type: '3', rest: ':+90' })],
    ['no timeout, where the type has one', lineOf({ type: '3' })],
    ['no NAT, where the type has it', lineOf({ type: '2' })],
    ['a user of 65 characters', lineOf({ user: base64('a'.repeat(65)) })],
    ['no NAT or no timeout of type 6', lineOf({ type: '6', rest: ':90' })],
    ['no NAT or no timeout, where the type has both', lineOf({ type: '4', rest: ':90' })],
    ['a field too many', lineOf({ rest: ':YQ:YQ' })],
    ['two fields too many', lineOf({ type: '3', rest: ':YQ:YQ:90' })],
  ]
  for (const [name, line] of bad) {
    it(`asks for nothing with ${name}`, () => {
      assert.deepEqual([verified(line)?.refused, verified(line)?.asks], ['bad-message', undefined])
    })
  }

  it('has names of up to 64 characters, and messages of up to 256', () => {
    const ports = `192.0.2.7,${'tcp/22,'.repeat(34)}tcp/`
    assert.equal(`${ports}1000`.length, 256)
    assert.equal(verified(message(`${ports}1000`))?.refused, undefined)
    assert.equal(verified(message(`${ports}10000`))?.refused, 'bad-message')
    assert.equal(verified(lineOf({ user: base64('a'.repeat(64)) }))?.refused, undefined)
  })

  it('has one spelling', () => {
    assert.deepEqual(decodeBase64('QQ'), Buffer.from('A'))
    for (const text of ['QR', 'QQ=', 'QQ==', 'Q Q', 'Q-', 'Q']) assert.equal(decodeBase64(text), undefined, text)
  })

  const policies: readonly [string, Partial<FwknopSecret>, Buffer, string | undefined][] = [
    ['the right user', { user: 'alice' }, lineOf({}), undefined],
    ['another user', { user: 'alicf' }, lineOf({}), 'wrong-user'],
    ['an address, which is needed', { requireSourceAddress: true }, lineOf({}), undefined],
    [
      '0.0.0.0, where an address is needed',
      { requireSourceAddress: true },
      message('0.0.0.0,tcp/22'),
      'source-not-named',
    ],
    ['a command', {}, lineOf({ type: '0', message: base64('192.0.2.7,id') }), 'command-refused'],
    ['NAT', {}, lineOf({ type: '2', rest: `:${base64('10.0.0.1,22')}` }), 'nat-refused'],
  ]
  for (const [name, policy, line, want] of policies) {
    it(`with ${name}: ${want ?? 'taken'}`, () => assert.equal(verified(line, { ...secret, ...policy })?.refused, want))
  }

  it('tells keys apart that are the same one behind the other', () => {
    const keys = (key: string, hmacKey: string) =>
      fwknop.identityOf({ ...secret, key: Buffer.from(key), hmacKey: Buffer.from(hmacKey) }).toString('hex')
    assert.notEqual(keys('ab', 'c'), keys('a', 'bc'))
  })

  it('says until when its secret counts', () => {
    assert.equal(verified(lineOf({}), { ...secret, expires: 1_800_000_000 })?.until, 1_800_000_000)
    assert.equal(verified(lineOf({}))?.until, undefined)
  })

  it("has the sender's address, but for 0.0.0.0", () => {
    assert.deepEqual(verified(lineOf({}))?.sender, { version: 4, address: '192.0.2.7' })
    assert.equal(verified(message('0.0.0.0,tcp/22'))?.sender, undefined)
  })
})
