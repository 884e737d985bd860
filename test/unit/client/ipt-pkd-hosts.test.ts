import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { after, describe, it } from 'node:test'
import { findIptPkdHost } from '../../../src/client/ipt-pkd-hosts.js'
import { IniError, parseIni } from '../../../src/util/ini.js'
import { UserError } from '../../../src/util/user-error.js'

const plain = (text: string) =>
  Object.fromEntries([...parseIni(text)].map(([name, values]) => [name, Object.fromEntries(values)]))

describe('parseIni', () => {
  const cases: readonly [string, string, unknown][] = [
    ['nothing', '', {}],
    [
      'sections and values',
      '[a]\nhost=h\nkey = k\n\n[b c]\nhost: i',
      { a: { host: 'h', key: 'k' }, 'b c': { host: 'i' } },
    ],
    ['the first = or : of a line alone', '[a]\nkey=x=y:z\nhost: fd00::1', { a: { key: 'x=y:z', host: 'fd00::1' } }],
    ['names in capitals, and values as they are', '[Home]\nHost=H', { Home: { host: 'H' } }],
    ['comments on lines of their own', '# one\n; two\nREM three\n[a]\n  # four\nkey=k', { a: { key: 'k' } }],
    ['comments behind values', '[a]\nhost=h ; where\nkey=k', { a: { host: 'h', key: 'k' } }],
    ['signs that are not comments', '[a]\nkey=a;b # c ;d', { a: { key: 'a;b # c ;d' } }],
    ['empty values', '[a]\nkey=\ntag=""', { a: { key: '', tag: '' } }],
    ['the last of two', '[a]\nkey=1\nkey=2\n[b]\n[a]\nhost=h', { a: { key: '2', host: 'h' }, b: {} }],
    ['[DEFAULT] for all', '[a]\nhost=h\n[DEFAULT]\nkey=k\nhost=i', { a: { key: 'k', host: 'h' } }],
    ['lines of Windows', '\ufeff[a]\r\nkey=k\r\n', { a: { key: 'k' } }],
    ['a first value that is indented', '[a]\n key=k', { a: { key: 'k' } }],
    ['text behind a section', '[a] ; home\nkey=k', { a: { key: 'k' } }],
  ]
  for (const [name, text, want] of cases) {
    it(`takes ${name}`, () => {
      assert.deepEqual(plain(text), want)
    })
  }

  const mistakes: readonly [string, string, number, RegExp][] = [
    ['a line without a value', '[a]\nkey secret', 2, /expected/],
    ['a value without a name', '[a]\n= secret', 2, /without a name/],
    ['a value without a section', '\nkey=secret', 2, /before the first/],
    ['an empty section', '[]\n', 1, /expected/],
    ['a continued line', '[a]\nkey=secret\n  more', 3, /goes on/],
    ['interpolation', '[a]\nkey=%(secret)s', 2, /%\(/],
  ]
  for (const [name, text, line, message] of mistakes) {
    it(`refuses ${name}, and does not show it`, () => {
      assert.throws(
        () => parseIni(text),
        (error: unknown) => {
          assert.ok(error instanceof IniError)
          assert.equal(error.line, line)
          assert.match(error.message, message)
          assert.doesNotMatch(error.message, /secret/)
          return true
        },
      )
    })
  }
})

describe('places of ipt_pkd', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-ini-'))
  after(() => fs.rmSync(directory, { recursive: true }))
  const file = path.join(directory, 'ipt_pkd.ini')
  const place = (name: string, text: string) => {
    fs.writeFileSync(file, text)
    return findIptPkdHost(name, file)
  }

  it('are undefined without the file, or the section', () => {
    assert.equal(findIptPkdHost('home', path.join(directory, 'none')), undefined)
    assert.equal(place('home', '[work]\nhost=h\nkey=k'), undefined)
    assert.equal(place('host', '[work]\nhost=h\nkey=k'), undefined)
  })

  it('have what the section says, digits as they are written', () => {
    const text = '[home]\nhost=192.0.2.1\nkey=0123\ntag=0x50\nport=0500\nold=0\nelse=x'
    assert.deepEqual(place('home', text), {
      type: 'pkd',
      host: '192.0.2.1',
      key: '0123',
      tag: '0x50',
      port: 500,
    })
    assert.deepEqual(place('home', '[home]\nhost=h'), { type: 'pkd', host: 'h' })
    assert.deepEqual(place('home', '[home]\nhost=h\nport=0'), { type: 'pkd', host: 'h' })
  })

  const mistakes: readonly [string, string, RegExp][] = [
    ['no host', '[home]\nkey=secret', /ipt_pkd\.ini: \[home\]: has no host$/],
    ['an empty host', '[home]\nhost=', /has no host$/],
    ['the old format', '[home]\nhost=h\nold=1', /\[home\]: asks for the old format of knocks, which is not supported$/],
    ['the old format by an empty value', '[home]\nhost=h\nold=', /old format/],
    ['a port out of range', '[home]\nhost=h\nport=65536', /\[home\]: expected a port from 1 to 65535$/],
    ['a port of letters', '[home]\nhost=h\nport=ssh', /expected a port/],
    ['a broken line', '[home]\nhost=h\nsecret', /ipt_pkd\.ini:3: expected \[section\]/],
  ]
  for (const [name, text, message] of mistakes) {
    it(`one clear error for ${name}`, () => {
      assert.throws(
        () => place('home', text),
        (error: unknown) => {
          assert.ok(error instanceof UserError)
          assert.match(error.message, message)
          assert.doesNotMatch(error.message, /secret/)
          assert.equal(error.hint !== undefined, name.startsWith('the old'))
          return true
        },
      )
    })
  }

  it('one clear error for a file that cannot be read', () => {
    assert.throws(() => findIptPkdHost('home', directory), /cannot be read/)
  })
})
