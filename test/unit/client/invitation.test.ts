import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { after, describe, it } from 'node:test'
import fc from 'fast-check'
import { findHostEntry } from '../../../src/client/hosts-file.js'
import type { Invitation } from '../../../src/client/invitation.js'
import { formatInvitation, parseInvitation } from '../../../src/client/invitation.js'
import { addHostEntry } from '../../../src/client/add-host-entry.js'
import { UserError } from '../../../src/util/user-error.js'

const identity = Buffer.alloc(32, 7)
const id = `pk1:${identity.toString('base64url')}`
const key = Buffer.alloc(32, 9)
const ssh = { name: 'ssh', protocol: 'tcp', port: 22 } as const
const invitation: Invitation = { host: 'server.example', port: null, identity, services: [ssh], key: null }
const right = `pkctl://server.example?id=${id}&services=ssh:22`

describe('an invitation', () => {
  it('is one line, without a secret where the user has an SSH key', () => {
    assert.equal(formatInvitation(invitation), right)
    assert.equal(
      formatInvitation({
        ...invitation,
        host: '2001:db8::1',
        port: 4000,
        services: [ssh, { name: 'vpn', protocol: 'udp', port: 1194 }, { name: 'x', protocol: 'tcp', port: undefined }],
        key,
      }),
      `pkctl://[2001:db8::1]:4000?id=${id}&services=ssh:22,vpn:1194/udp,x&key=${key.toString('base64url')}`,
    )
  })

  it('reads what it writes', () => {
    const hosts = fc.constantFrom('server.example', '192.0.2.1', '2001:db8::1', 'h')
    const port = fc.integer({ min: 1, max: 65_535 })
    const plain = { noNullPrototype: true }
    const service = fc.record(
      { name: fc.constantFrom('ssh', 'web-2', 'A_b'), protocol: fc.constantFrom('tcp' as const, 'udp' as const), port },
      plain,
    )
    const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(array => Buffer.from(array))
    // The last bit of an X25519 key is never set.
    const publicKey = bytes.map(all => Buffer.from(all.map((byte, i) => (i === 31 ? byte & 0x7f : byte))))
    const any = fc.record(
      { host: hosts, port: fc.option(port), identity: publicKey, services: fc.array(service), key: fc.option(bytes) },
      plain,
    )
    fc.assert(fc.property(any, one => assert.deepEqual(parseInvitation(formatInvitation(one)), one)))
  })

  const wrong: readonly [string, string, RegExp][] = [
    ['nothing', '', /this is no invitation/],
    ['another scheme', right.replace('pkctl', 'https'), /this is no invitation/],
    ['a host that is an option', right.replace('server', '-server'), /this is no invitation/],
    ['a path', right.replace('?', '/?'), /this is no invitation/],
    ['a user', right.replace('server', 'a@server'), /this is no invitation/],
    ['two lines', `${right}\n${right}`, /this is no invitation/],
    ['a control character', `${right}\x1b`, /this is no invitation/],
    ['too much', `${right}${'&x='.repeat(1000)}`, /this is no invitation/],
    ['port 0', right.replace('?', ':0?'), /port/],
    ['port 65536', right.replace('?', ':65536?'), /port/],
    ['no identity', 'pkctl://server.example?services=ssh', /has no identity of a server/],
    ['half an identity', right.replace(id, id.slice(0, -1)), /has no identity of a server/],
    ['two identities', `${right}&id=${id}`, /has id twice/],
    ['an unknown part', `${right}&x=1`, /a part that is not known here/],
    ['a service that is none', right.replace('ssh:22', '-ssh'), /an invalid service/],
    ['a port of a service that is none', right.replace('ssh:22', 'ssh:0'), /port/],
    ['half a key', `${right}&key=${key.toString('base64url').slice(1)}`, /an invalid key/],
    ['another spelling of a key', `${right}&key=${key.toString('base64url').replace(/.$/, 'l')}`, /an invalid key/],
    ['an empty key', `${right}&key=`, /an invalid key/],
  ]
  for (const [name, line, message] of wrong) {
    it(`is not one with ${name}`, () => {
      assert.throws(
        () => parseInvitation(line),
        (error: Error) => message.test(error.message) && !error.message.includes(key.toString('base64url').slice(1)),
      )
    })
  }

  it('is read or refused in words, whatever the line is', () => {
    const odd = fc
      .tuple(fc.nat(right.length), fc.string({ unit: 'binary' }))
      .map(([at, text]) => right.slice(0, at) + text)
    fc.assert(
      fc.property(odd, line => {
        try {
          parseInvitation(line)
        } catch (error) {
          assert.ok(error instanceof UserError || (error as Error).name === 'ValueError', String(error))
        }
      }),
    )
  })
})

describe('the host entry of an invitation', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-join-'))
  after(() => fs.rmSync(directory, { recursive: true }))
  let number = 0
  const hosts = (text?: string) => {
    const file = path.join(directory, String(number++), 'pkctl', 'hosts.yaml')
    if (text !== undefined) {
      fs.mkdirSync(path.dirname(file), { recursive: true })
      fs.writeFileSync(file, text, { mode: 0o644 })
    }
    return file
  }
  const modeOf = (file: string) => fs.statSync(file).mode & 0o777

  it('makes the file, for its user alone', () => {
    const file = hosts()
    assert.deepEqual(addHostEntry(file, 'home', { ...invitation, port: 4000, key }), { changed: true, file })
    const { type, ...entry } = findHostEntry('home', file) ?? {}
    assert.equal(type, 'symmetric')
    const hex = `0x${key.toString('hex')}`
    assert.deepEqual(entry, { host: 'server.example', identity: id, port: 4000, key: hex, connect: 22 })
    assert.deepEqual([modeOf(file), modeOf(path.dirname(file))], [0o600, 0o700])
    assert.deepEqual(fs.readdirSync(path.dirname(file)), ['hosts.yaml'])
  })

  it('leaves comments and other entries as they are written, and takes rights of others away', () => {
    for (const before of [
      '# mine\nold: {host: h,   key: 0123} # kept\n',
      'old:\n  host: h\n  key: "0123"',
      '# only a comment\n',
    ]) {
      const file = hosts(before)
      addHostEntry(file, 'home', { ...invitation, key })
      const after = fs.readFileSync(file, 'utf8')
      assert.ok(after.startsWith(before))
      if (before.includes('old')) assert.equal((findHostEntry('old', file) as { key?: string }).key, '0123')
      assert.equal(findHostEntry('home', file)?.host, 'server.example')
      assert.equal(modeOf(file), 0o600)
    }
  })

  it('changes nothing a second time, and never another entry', () => {
    const file = hosts()
    addHostEntry(file, 'home', { ...invitation, key })
    const before = fs.readFileSync(file)
    assert.equal(addHostEntry(file, 'home', { ...invitation, key }).changed, false)
    for (const other of [{ host: 'other.example' }, { key: identity }, { port: 1 }, { services: [] }])
      assert.throws(
        () => addHostEntry(file, 'home', { ...invitation, key, ...other }),
        /another host entry 'home' already/,
      )
    assert.deepEqual(fs.readFileSync(file), before)
  })

  it('follows a link to where the file is kept', () => {
    const [file, kept] = [hosts(), hosts('old: { host: h }\n')]
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.symlinkSync(kept, file)
    addHostEntry(file, 'home', { ...invitation, key })
    assert.ok(fs.lstatSync(file).isSymbolicLink())
    assert.equal(findHostEntry('home', kept)?.host, 'server.example')
  })

  it('follows no link of another user', { skip: process.geteuid?.() !== 0 }, () => {
    const [file, kept] = [hosts(), hosts('old: { host: h }\n')]
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.symlinkSync(kept, file)
    fs.lchownSync(file, 4242, 4242)
    assert.throws(() => addHostEntry(file, 'home', { ...invitation, key }), /symbolic link of another user/)
    assert.equal(fs.readFileSync(kept, 'utf8'), 'old: { host: h }\n')
  })

  for (const text of ['{ old: { host: h } }\n', '---\nold: { host: h }\n...\n', '  old: { host: h }\n', '- x\n']) {
    it(`does not change a file that takes none at its end: ${JSON.stringify(text)}`, () => {
      const file = hosts(text)
      assert.throws(() => addHostEntry(file, 'home', { ...invitation, key }), UserError)
      assert.equal(fs.readFileSync(file, 'utf8'), text)
      assert.deepEqual(fs.readdirSync(path.dirname(file)), ['hosts.yaml'])
    })
  }
})
