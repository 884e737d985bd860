import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readKeyText, sshString } from '../../../src/knock/openssh/index.js'
import type { NewUser } from '../../../src/users/key-lines.js'
import { fingerprintText, optionsText, readUsers, withoutUser, withUser } from '../../../src/users/key-lines.js'
import { publicKeyIn } from '../../../src/users/users.js'
import { UserError } from '../../../src/util/user-error.js'

/** A public key of OpenSSH; each byte of it is this one. */
const keyLine = (byte: number) =>
  `ssh-ed25519 ${Buffer.concat([sshString('ssh-ed25519'), sshString(Buffer.alloc(32, byte))]).toString('base64')}`
const [ofAlice, ofBob] = [keyLine(1), keyLine(2)]
const user = (name: string, line: string, options: Partial<NewUser> = {}): NewUser => ({
  name,
  key: readKeyText(line) ?? assert.fail(),
  opens: undefined,
  window: undefined,
  expiresAt: undefined,
  ...options,
})
const add = (text: string, ...[name, line, options]: Parameters<typeof user>) =>
  withUser(text, 'keys', user(name, line, options))

describe('a user in a file of authorized keys', () => {
  it('is a line whose comment is the name', () => {
    assert.equal(add('', 'alice', ofAlice), `${ofAlice} alice\n`)
  })

  it('has options that pkctl and sshd read', () => {
    const options = { opens: ['ssh', 'vpn'], window: 28_800, expiresAt: Date.UTC(2037, 0, 30, 23, 59, 59) / 1000 }
    const text = add('', 'alice', ofAlice, options) ?? ''
    assert.equal(text, `opens="ssh,vpn",window="28800s",expiry-time="20370130235959Z" ${ofAlice} alice\n`)
    const [read] = readUsers(text, 'keys').users
    assert.deepEqual([read?.opens, read?.window, read?.expiresAt], [options.opens, options.window, options.expiresAt])
  })

  it('keeps the options that the key has in another file', () => {
    for (const options of ['', 'from="192.0.2.0/24,198.51.100.7",verify-required', 'command="echo a b",restrict']) {
      const [line] = readUsers(`  ${options} ${ofAlice} a comment`, 'keys').users
      assert.ok(line)
      assert.equal(optionsText(line), options)
      const text = add('', 'alice', ofAlice, { restrictions: optionsText(line) })
      assert.equal(text, `${options === '' ? '' : `${options} `}${ofAlice} alice\n`)
    }
  })

  it('is added behind what is there, which stays as it is', () => {
    const others = [`# ours`, 'broken line', `  from="192.0.2.0/24" ${ofBob} bob`, `restrict ${keyLine(3)}`]
    const text = others.join('\r\n')
    assert.equal(add(text, 'alice', ofAlice), `${text}\n${ofAlice} alice\n`)
    assert.equal(add(`${text}\n`, 'alice', ofAlice), `${text}\n${ofAlice} alice\n`)
  })

  it('is there already, whatever other options somebody else gave the line', () => {
    const options = { opens: ['ssh'], window: 60 }
    const text = add('', 'alice', ofAlice, options) ?? ''
    assert.equal(add(text, 'alice', ofAlice, options), undefined)
    assert.equal(add(`no-touch-required,${text}`, 'alice', ofAlice, options), undefined)
    assert.equal(add(`window="1m",opens="ssh" ${ofAlice} alice`, 'alice', ofAlice, options), undefined)
  })

  const refused: readonly [string, string, Parameters<typeof user>, RegExp][] = [
    ['another key', `${ofBob} alice`, ['alice', ofAlice], /alice has another key already: line 1 of keys/],
    ['the key of another', `\n${ofAlice} bob`, ['alice', ofAlice], /the key is that of 'bob' already: line 2 of keys/],
    ['the key of a line without a name', ofAlice, ['alice', ofAlice], /the key is that of another line already/],
    ['a new service', `${ofAlice} alice`, ['alice', ofAlice, { opens: ['ssh'] }], /with other options: line 1/],
    ['a new window', `window="5" ${ofAlice} alice`, ['alice', ofAlice, { window: 6 }], /with other options/],
    ['an end', `${ofAlice} alice`, ['alice', ofAlice, { expiresAt: 1 }], /with other options/],
    ['no end', `expiry-time="20300101Z" ${ofAlice} alice`, ['alice', ofAlice], /with other options/],
  ]
  for (const [name, text, given, message] of refused) {
    it(`is not changed to ${name}`, () => assert.throws(() => add(text, ...given), message))
  }

  it('is removed with all of its lines, and nothing else', () => {
    const text = `# alice\n${ofAlice} alice\n\nopens="ssh" ${ofBob} alice\r\n${keyLine(3)} alice2\nbroken alice\n`
    const { text: left, removed } = withoutUser(text, 'keys', 'alice')
    assert.equal(left, `# alice\n\n${keyLine(3)} alice2\nbroken alice\n`)
    assert.deepEqual(
      removed.map(({ line }) => line),
      [2, 4],
    )
    assert.deepEqual(withoutUser(text, 'keys', 'Alice'), { text, removed: [] })
  })

  it('has the fingerprint that ssh-keygen prints', () => {
    const [read] = readUsers(`${ofAlice} alice`, 'keys').users
    assert.match(read ? fingerprintText(read.key) : '', /^SHA256:[A-Za-z0-9+/]{43}$/)
  })
})

describe('a public key in text', () => {
  it('is one line', () => {
    assert.equal(publicKeyIn(`${ofAlice} alice@host\n`, 'x').text.type, 'ssh-ed25519')
  })

  const rsa = Buffer.concat([sshString('ssh-rsa'), sshString(Buffer.from([3])), sshString(Buffer.alloc(256, 1))])
  const wrong: readonly [string, string, RegExp][] = [
    ['RSA', `ssh-rsa ${rsa.toString('base64')}`, /x is no public key: an RSA key does not fit into a knock/],
    ['a private key', '-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl', /x is a private key, which stays with its user/],
    ['two keys', `${ofAlice}\n${ofBob}`, /x is no public key/],
    ['options', `restrict ${ofAlice}`, /x is no public key/],
    ['nothing', '', /x is no public key/],
    ['base64 that was cut', ofAlice.slice(0, -3), /x is no public key/],
  ]
  for (const [name, text, message] of wrong) {
    it(`is not ${name}`, () =>
      assert.throws(
        () => publicKeyIn(text, 'x'),
        (error: UserError) => error instanceof UserError && message.test(error.message),
      ))
  }
})
