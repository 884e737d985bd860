import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { AuthorizedKey, AuthorizedKeys, KeyProblem } from '../../../../src/knock/openssh/index.js'
import { parseAuthorizedKeys } from '../../../../src/knock/openssh/index.js'
import { isClear } from '../../../fuzz/properties.js'
import { root } from '../../../support/commands.js'
import { testKey } from './sshsig.js'

const { line: key, blob } = testKey('ssh-ed25519')
const ecdsa = testKey('ecdsa-sha2-nistp256').line
/** The same bytes, with a bit after them that base64 does not use. */
const otherSpelling = ecdsa.replace(/(.)=$/, (_, last: string) => `${String.fromCharCode(last.charCodeAt(0) + 1)}=`)
const token = testKey('sk-ssh-ed25519@openssh.com').line
const read = (text: string): AuthorizedKeys => parseAuthorizedKeys(text, 'keys')
const entry = (text: string): AuthorizedKey => {
  const { entries, problems } = read(text)
  assert.deepEqual(problems, [])
  assert.equal(entries.length, 1)
  const [first] = entries
  assert.ok(first)
  return first
}
const problem = (text: string) => {
  const { entries, problems } = read(text)
  assert.deepEqual(entries, [])
  assert.equal(problems.length, 1)
  return problems[0]?.message ?? ''
}

describe('authorized keys', () => {
  it('a key alone, with a comment, with blanks, and with the line ends of another system', () => {
    for (const [text, comment] of [
      [key, ''],
      [`${key} alice@laptop of 2026`, 'alice@laptop of 2026'],
      [` \t${key}   a  b \r`, 'a  b'],
      [key.replace(' ', '\t  '), ''],
    ] as const) {
      const { key: read, comment: said, isCertAuthority, principals, from, expiresAt, ...rest } = entry(text)
      assert.deepEqual(read.blob, blob)
      assert.equal(said, comment)
      assert.deepEqual([isCertAuthority, principals, from, expiresAt], [false, null, null, null])
      assert.deepEqual(rest, {
        line: 1,
        demands: { touch: true, verification: false },
        opens: null,
        window: null,
        prefix4: null,
        prefix6: null,
        onBehalfOf: [],
      })
    }
  })

  it('comments and empty lines are ignored, and lines counted', () => {
    const { entries, problems } = read(`# a comment\n\n  # another\n${key}\nnonsense\n\t\n${key} second`)
    assert.deepEqual(
      entries.map(({ line }) => line),
      [4, 7],
    )
    const want: KeyProblem = { file: 'keys', line: 5, message: 'there is no key on the line' }
    assert.deepEqual(problems, [want])
  })

  it('options that mean what they mean for sshd', () => {
    assert.equal(entry(`cert-authority ${key}`).isCertAuthority, true)
    assert.deepEqual(entry(`cert-authority,principals="alice,bob" ${key}`).principals, ['alice', 'bob'])
    assert.deepEqual(entry(`no-touch-required ${token}`).demands, { touch: false, verification: false })
    assert.deepEqual(entry(`verify-required ${token}`).demands, { touch: true, verification: true })
    assert.deepEqual(entry(`VERIFY-Required,No-Touch-Required ${token}`).demands, { touch: false, verification: true })
    assert.equal(entry(`from="192.0.2.1" ${key}`).from?.text, '192.0.2.1')
  })

  it("options of pkctl's own", () => {
    const read = entry(`opens="ssh,vpn",window="8h",prefix4="24",prefix6="64",obo="192.0.2.0/24,2001:db8::1" ${key}`)
    assert.deepEqual(read.opens, ['ssh', 'vpn'])
    assert.equal(read.window, 28_800)
    assert.deepEqual([read.prefix4, read.prefix6], [24, 64])
    assert.deepEqual(read.onBehalfOf, ['192.0.2.0/24', '2001:db8::1/128'])
  })

  it('options about sessions are ignored', () => {
    const session = [
      ...['restrict', 'pty', 'no-pty', 'no-X11-forwarding', 'agent-forwarding', 'no-port-forwarding', 'user-rc'],
      ...[
        'command="echo \\"a b\\", # c"',
        'environment="A=1"',
        'environment="B=2"',
        'permitopen="h:1"',
        'permitlisten="2"',
        'tunnel="0"',
      ],
    ]
    for (const option of session) entry(`${option} ${key}`)
    assert.equal(entry(`${session.join(',')} ${key} comment`).comment, 'comment')
  })

  const refused: readonly [string, RegExp][] = [
    [`future-restriction ${key}`, /^the option 'future-restriction' is unknown$/],
    [`future="x" ${key}`, /^the option 'future' is unknown$/],
    [`from ${key}`, /^the option from needs a value in double quotes$/],
    [`from=192.0.2.1 ${key}`, /is neither an option nor a key/],
    [`from="192.0.2.1",from="192.0.2.2" ${key}`, /^the option from is given twice$/],
    [`command="a",command="b" ${key}`, /^the option command is given twice$/],
    [`restrict="x" ${key}`, /^the option restrict has no value$/],
    [`from="192.0.2.1 ${key}`, /a quote is not closed/],
    [`restrict, ${key}`, /is neither an option nor a key/],
    [`,restrict ${key}`, /is neither an option nor a key/],
    [`restrict,,pty ${key}`, /is neither an option nor a key/],
    [`restrict pty ${key}`, /there is no key/],
    ['restrict', /there is no key/],
    [`principals="" ${key}`, /is not a list of names/],
    [`principals="a,,b" ${key}`, /is not a list of names/],
    [`opens="ssh, vpn" ${key}`, /is not a list of names/],
    [`window="0" ${key}`, /is not a time from 1s to 365d/],
    [`window="unlimited" ${key}`, /is not a time from 1s to 365d/],
    [`window="366d" ${key}`, /is not a time from 1s to 365d/],
    [`prefix4="33" ${key}`, /is not the length of a prefix/],
    [`prefix4="0" ${key}`, /is not the length of a prefix/],
    [`prefix6="129" ${key}`, /is not the length of a prefix/],
    [`prefix6="064" ${key}`, /is not the length of a prefix/],
    [`obo="192.0.2.1/24" ${key}`, /is not a list of addresses and prefixes/],
    ['ssh-ed25519 AAAA', /there is no key|ends too early/],
    [otherSpelling, /not spelled as base64 should be/],
    [key.slice(0, -4), /ends too early|base64/],
    [key.replace('ssh-ed25519', 'ecdsa-sha2-nistp256'), /of type 'ssh-ed25519', and its line 'ecdsa-sha2-nistp256'/],
    ['ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAwEAAQ==', /an RSA key does not fit into a knock/],
    [`${'x'.repeat(20_000)} ${key}`, /longer than 16384/],
    [`${key} \0`, /NUL/],
  ]
  for (const [text, message] of refused) {
    it(`refused: ${JSON.stringify(text.slice(0, 50))}`, () => assert.match(problem(text), message))
  }

  it('the file of vectors is read as a whole', () => {
    const file = path.join(root, 'test/vectors/openssh/authorized_keys')
    const { entries, problems } = parseAuthorizedKeys(fs.readFileSync(file, 'utf8'), file)
    assert.deepEqual(problems, [])
    assert.deepEqual(
      entries.map(({ line, comment }) => `${line} ${comment}`),
      ['2 ed25519', '3 ecdsa', '4 ca', '5 ed25519-sk'],
    )
  })

  it('a refused line refuses no other one', () => {
    const { entries, problems } = read(`future ${key}\n${key}`)
    assert.equal(entries.length, 1)
    assert.equal(problems.length, 1)
  })

  const sources: readonly [string, readonly string[], readonly string[]][] = [
    ['192.0.2.1', ['192.0.2.1'], ['192.0.2.10', '192.0.2.2', '2001:db8::1']],
    ['192.0.2.0/24,2001:db8::/32', ['192.0.2.200', '2001:db8:1::2'], ['192.0.3.1', '2001:db9::1']],
    ['192.0.2.*', ['192.0.2.1', '192.0.2.255'], ['192.0.20.1', '1192.0.2.1']],
    ['192.0.2.?', ['192.0.2.1'], ['192.0.2.10', '192.0.2.']],
    ['2001:DB8:*', ['2001:db8::1'], ['2001:db80::1']],
    ['*.2.*.7', ['192.0.2.1.7', '192.2.0.7', '1.2.2.7'], ['192.0.2.7', '192.2.0.77', '1.3.2.7']],
    ['**1?', ['192.0.2.10', '10'], ['192.0.2.1', '192.0.2.100']],
    // A backtracking matcher tries each way to share the ones among the stars: more than 10^10.
    [`${'*1'.repeat(19)}f,192.0.2.1`, ['192.0.2.1'], ['1'.repeat(39)]],
    ['*', ['192.0.2.1', '2001:db8::1'], []],
    ['!192.0.2.1,192.0.2.0/24', ['192.0.2.2'], ['192.0.2.1']],
    ['192.0.2.0/24,!192.0.2.1', ['192.0.2.2'], ['192.0.2.1']],
    ['*,!192.0.2.*', ['198.51.100.1'], ['192.0.2.9']],
  ]
  for (const [from, matching, others] of sources) {
    it(`from="${from}"`, () => {
      const patterns = entry(`from="${from}" ${key}`).from
      for (const address of matching) assert.equal(patterns?.matches(address), true, address)
      for (const address of others) assert.equal(patterns?.matches(address), false, address)
    })
  }

  it('from= with names: they never match, and what would open by that is refused', () => {
    const { entries, problems } = read(`from="*.example.org,192.0.2.1" ${key}`)
    assert.equal(entries[0]?.from?.matches('192.0.2.1'), true)
    assert.equal(entries[0].from.matches('192.0.2.2'), false)
    assert.match(problems[0]?.message ?? '', /'\*\.example\.org', which never matches/)
    assert.match(problem(`from="*,!bad.example.org" ${key}`), /excludes the name 'bad.example.org'/)
    assert.match(problem(`from="host.example.org" ${key}`), /accepts no address/)
    assert.match(problem(`from="!192.0.2.1" ${key}`), /accepts no address/)
    assert.match(problem(`from="" ${key}`), /an empty pattern/)
    assert.match(problem(`from="192.0.2.1/24" ${key}`), /not an address or a prefix/)
    assert.match(problem(`from="192.0.2" ${key}`), /not an address or a prefix/)
  })

  const times: readonly [string, number][] = [
    ['20271231Z', Date.UTC(2027, 11, 31)],
    ['202712312359z', Date.UTC(2027, 11, 31, 23, 59)],
    ['20271231235958UTC', Date.UTC(2027, 11, 31, 23, 59, 58)],
    ['20280229', new Date(2028, 1, 29).getTime()],
    ['202712312359', new Date(2027, 11, 31, 23, 59).getTime()],
  ]
  for (const [text, want] of times) {
    it(`expiry-time="${text}"`, () => assert.equal(entry(`expiry-time="${text}" ${key}`).expiresAt, want / 1000))
  }
  it('of several expiry-times the earliest counts', () => {
    const { expiresAt } = entry(`expiry-time="20271231Z",expiry-time="20261231Z",expiry-time="20281231Z" ${key}`)
    assert.equal(expiresAt, Date.UTC(2026, 11, 31) / 1000)
  })
  for (const text of [
    '20270229Z',
    '20271301Z',
    '20270100',
    '2027123124',
    '202712312460',
    '2027-12-31',
    '',
    '19691231',
  ]) {
    it(`expiry-time="${text}" is refused`, () => assert.match(problem(`expiry-time="${text}" ${key}`), /is not a time/))
  }

  it('of any text at most clear problems come, soon', () => {
    const words = fc.constantFrom(
      key,
      token,
      'from="',
      '"',
      ',',
      ' ',
      '\n',
      '\\"',
      'restrict',
      'obo="::/0"',
      '*',
      '!',
      '#',
      '\0',
      '=',
    )
    fc.assert(
      fc.property(fc.array(fc.oneof(words, fc.string()), { maxLength: 12 }), parts => {
        for (const { message } of read(parts.join('')).problems) isClear(message)
      }),
    )
    const stars = entry(`from="${'*1'.repeat(5000)}" ${key}`).from
    assert.equal(stars?.matches('1.1.1.1'), false)
  })
})
