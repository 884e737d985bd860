import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { after, describe, it } from 'node:test'
import { findHostEntry } from '../../../src/client/hosts-file.js'
import { UserError } from '../../../src/util/user-error.js'

const rotatingDefaults = { digest: 'sha256', range: { first: 1, last: 65_535 }, hour: 'utc' }
const tcp = (port: number) => ({ port, protocol: 6 })
const udp = (port: number) => ({ port, protocol: 17 })

describe('places', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-places-'))
  after(() => fs.rmSync(directory, { recursive: true }))
  const file = path.join(directory, 'hosts.yaml')
  const place = (text: string, name = 'home') => {
    fs.writeFileSync(file, text)
    return findHostEntry(name, file)
  }

  it('are undefined without the file, or the name', () => {
    assert.equal(findHostEntry('home', path.join(directory, 'none')), undefined)
    for (const text of ['', '# nothing', 'work: { host: h }']) assert.equal(place(text), undefined)
    for (const name of ['constructor', '__proto__']) assert.equal(place('work: { host: h }', name), undefined)
  })

  const good: readonly [string, string, object][] = [
    ['a host alone', 'host: h', { type: 'pkd', host: 'h' }],
    [
      'PKD, digits as they are written',
      'host: h, tag: 0x5353484b, key: 0123, port: 0500, family: 4, connect: 22',
      { type: 'pkd', host: 'h', tag: '0x5353484b', key: '0123', port: 500, family: '4', connect: 22 },
    ],
    [
      'an identity and a key',
      'host: h, identity: "pk1:x", key-file: k, port: 500',
      { type: 'symmetric', host: 'h', identity: 'pk1:x', 'key-file': 'k', port: 500 },
    ],
    [
      'an identity alone, for an SSH key',
      'host: h, identity: "pk1:x", port: 500',
      { type: 'ssh', host: 'h', identity: 'pk1:x', port: 500 },
    ],
    [
      'an SSH key with all that goes with it',
      'host: h, identity: "pk1:x", ssh-key: ~/.ssh/k, certificate: c, identity-agent: none, connect: 22',
      {
        type: 'ssh',
        host: 'h',
        identity: 'pk1:x',
        'ssh-key': '~/.ssh/k',
        certificate: 'c',
        'identity-agent': 'none',
        connect: 22,
      },
    ],
    [
      'a fixed sequence',
      'host: h, sequence: [7000, 8000:udp], close-sequence: [9000], delay: 50',
      { type: 'sequence', host: 'h', sequence: [tcp(7000), udp(8000)], 'close-sequence': [tcp(9000)], delay: 50 },
    ],
    [
      "a rotating one with the daemon's defaults",
      'host: h, open-secret: 0123',
      { type: 'rotating', host: 'h', 'open-secret': '0123', ...rotatingDefaults },
    ],
    [
      'a rotating one as it is written',
      'host: h, open-secret-file: ~/o, close-secret-file: c, digest: md5, range: 1000-2000, hour: local, delay: 0',
      {
        type: 'rotating',
        host: 'h',
        'open-secret-file': '~/o',
        'close-secret-file': 'c',
        digest: 'md5',
        range: { first: 1000, last: 2000 },
        hour: 'local',
        delay: 0,
      },
    ],
    [
      'another place to close at, without what closes that one',
      'host: h, key: k, close: bye }\nbye: { host: i, sequence: [1], close: home',
      { type: 'pkd', host: 'h', key: 'k', close: { type: 'sequence', host: 'i', sequence: [tcp(1)] } },
    ],
  ]
  for (const [name, text, want] of good) {
    it(`have ${name}`, () => {
      assert.deepEqual(place(`home: { ${text} }`), want)
    })
  }

  const mistakes: readonly [string, string, RegExp][] = [
    ['no host', '{ key: hidden }', /^home: 'host' is missing$/],
    ['an empty host', "{ host: '' }", /^home\.host: expected a name or an address, got empty text$/],
    ['no mapping', 'hidden', /^home: expected a mapping, with a host$/],
    ['a misspelt key', '{ hosts: h }', /^home: unknown key 'hosts' \(did you mean 'host'\?\)$/],
    ['an option of the daemon', '{ host: h, open-secret: hidden, grace: 5 }', /^home: unknown key 'grace'$/],
    ['a key and a sequence', '{ host: h, key: hidden, sequence: [1] }', /^home: 'key' and 'sequence' do not go/],
    ['a port and a sequence', '{ host: h, port: 1, sequence: [1] }', /^home: 'port' and 'sequence' do not go together/],
    ['two sequences', '{ host: h, sequence: [1], digest: md5 }', /^home: 'sequence' and 'digest' do not go together/],
    ['an SSH key without an identity', '{ host: h, ssh-key: k }', /^home: 'identity' is missing$/],
    [
      'an SSH key and another',
      '{ host: h, identity: i, key: hidden, ssh-key: k }',
      /^home: 'key' and 'ssh-key' do not go together/,
    ],
    [
      'a certificate and a key file',
      '{ host: h, identity: i, key-file: f, certificate: c }',
      /^home: 'key-file' and 'certificate' do not go together/,
    ],
    ['a tag and an SSH key', '{ host: h, tag: T, ssh-key: k }', /^home: 'tag' and 'ssh-key' do not go together/],
    ['a tag and an identity', '{ host: h, tag: T, identity: i }', /^home: 'tag' and 'identity' do not go together/],
    [
      'an empty path of an SSH key',
      "{ host: h, identity: i, ssh-key: '' }",
      /^home\.ssh-key: expected a path, got empty/,
    ],
    ['two keys', '{ host: h, key: hidden, key-file: f }', /^home: 'key' and 'key-file' are both given; one is needed$/],
    [
      'two opening secrets',
      '{ host: h, open-secret: hidden, open-secret-file: f }',
      /'open-secret' and 'open-secret-f/,
    ],
    [
      'two closing secrets',
      '{ host: h, open-secret: hidden, close-secret: a, close-secret-file: f }',
      /are both given/,
    ],
    [
      'two ways to close',
      '{ host: h, sequence: [1], close-sequence: [2], close: bye }',
      /'close' and 'close-sequence'/,
    ],
    ['two ways to close by secret', '{ host: h, open-secret: hidden, close-secret: a, close: bye }', /'close' and 'cl/],
    ['a closing sequence alone', '{ host: h, close-sequence: [2] }', /^home: 'sequence' is missing$/],
    ['a closing secret alone', '{ host: h, close-secret: hidden }', /'open-secret' or 'open-secret-file' is missing$/],
    ['an empty secret', "{ host: h, open-secret: '' }", /^home\.open-secret: expected a secret, got empty text$/],
    ['an empty sequence', '{ host: h, sequence: [] }', /^home\.sequence: expected at least one knock$/],
    ['text for a sequence', '{ host: h, sequence: 7000 }', /^home\.sequence: expected a list of knocks/],
    ['a wrong knock', '{ host: h, sequence: [7000, 1:icmp] }', /^home\.sequence\[1\]: expected a knock such as/],
    [
      'a wrong digest',
      '{ host: h, open-secret: hidden, digest: sha1 }',
      /^home\.digest: expected md5, .*, got 'sha1'$/,
    ],
    ['a wrong range', '{ host: h, open-secret: hidden, range: 5-5 }', /^home\.range: expected a range of ports/],
    ['a wrong hour', '{ host: h, open-secret: hidden, hour: there }', /^home\.hour: expected utc or local/],
    ['a wrong delay', '{ host: h, delay: 20ms }', /^home\.delay: expected milliseconds such as 20, got '20ms'$/],
    ['a wrong port', '{ host: h, connect: ssh }', /^home\.connect: expected a port from 1 to 65535, got 'ssh'$/],
    ['a wrong family', '{ host: h, family: 5 }', /^home\.family: expected 4 or 6, got '5'$/],
    ['no such place to close at', '{ host: h, close: there }', /^home\.close: there is no host entry 'there' \(/],
    ['itself to close at', '{ host: h, close: home }', /^home\.close: a host entry cannot close itself \(/],
    ['a wrong place to close at', '{ host: h, close: bye }\nbye: { hots: h }', /^bye: unknown key 'hots'/],
  ]
  for (const [name, text, message] of mistakes) {
    it(`one clear error for ${name}, without a secret`, () => {
      assert.throws(
        () => place(`home: ${text}`),
        (error: unknown) => {
          assert.ok(error instanceof UserError)
          assert.ok(error.message.startsWith(`${file}: `), error.message)
          const said = error.message.slice(file.length + 2) + (error.hint === undefined ? '' : ` (${error.hint})`)
          assert.match(said, message)
          assert.doesNotMatch(said, /hidden/)
          return true
        },
      )
    })
  }

  it('with a secret of which YAML takes a part are warned of, where they are used', () => {
    const text = [
      'home: {host: h, key: abc #def',
      '  , tag: &T SSHK, close: shut}',
      'shut:',
      '  host: h',
      '  open-secret: ! abc',
      '  close-secret: &abc def',
      'same: &same',
      '  host: h',
      '  key: #abc',
      'again: *same',
      'good:',
      '  host: h',
      '  key: abc # of the phone',
      '  tag: "abc" #def',
      'last: {host: h, tag: &tag AAAA, key: *tag}',
    ].join('\n')
    const quoteIt = 'if it belongs to the value, put that between single quotes'
    const name = `YAML takes the word after & for a name, and nothing uses it; ${quoteIt}`
    const comment = `YAML takes what follows # for a comment; ${quoteIt}`
    const tag = `YAML takes the ! before it for a tag; ${quoteIt}`
    const shut = [`5:18: ${tag}`, `6:22: ${name}`]
    const wanted: Readonly<Record<string, readonly string[]>> = {
      home: [`1:22: ${comment}`, `2:13: ${name}`, ...shut],
      shut,
      same: [`9:8: ${comment}`],
      again: [`9:8: ${comment}`],
      good: [],
      last: [],
    }
    fs.writeFileSync(file, text)
    for (const [entry, want] of Object.entries(wanted)) {
      const warnings: string[] = []
      findHostEntry(entry, file, warning => warnings.push(warning))
      assert.deepEqual(
        warnings.map(warning => warning.replace(`${file}:`, '')),
        want,
        entry,
      )
    }
  })

  it('one clear error for what is no list of places', () => {
    for (const text of ['- home', 'home']) assert.throws(() => place(text), /expected names and their host entries$/)
    assert.throws(() => place('home: ['), /is not YAML/)
    assert.throws(() => findHostEntry('home', directory), /cannot be read/)
  })
})
