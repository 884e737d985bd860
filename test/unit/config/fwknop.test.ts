import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Credential, FwknopCredential } from '../../../src/config/types.js'
import { credential, load, noTriggers, only, problemsOf } from './config-support.js'

const isFwknop = (one: Credential): one is FwknopCredential => one.type === 'fwknop'
const keys = 'key: enc, hmac-key: mac'
const fwknop = (yaml: string) => only([credential(`type: fwknop, opens: [s], ${yaml}`)].filter(isFwknop))

describe('a credential of fwknop', () => {
  it('has defaults as fwknopd has them', () => {
    assert.deepEqual(fwknop(keys), {
      name: 'c',
      type: 'fwknop',
      key: Buffer.from('enc'),
      hmacKey: Buffer.from('mac'),
      hmac: 'sha256',
      port: 62_201,
      opens: ['s'],
      closes: [],
      window: null,
      maxWindow: 300,
      skew: 120,
      user: null,
      requireSourceAddress: false,
      expires: null,
      rate: { count: 5, seconds: 10 },
      onBehalfOf: [],
      interfaces: [],
      triggers: noTriggers,
      enabled: true,
    })
  })

  const table: readonly [string, Partial<FwknopCredential>][] = [
    ['key: 0x00ff, hmac-key: mac', { key: Buffer.from([0, 255]) }],
    ['key: "base64:AP8=", hmac-key: mac', { key: Buffer.from([0, 255]) }],
    ['key: "base64:AP8", hmac-key: mac', { key: Buffer.from([0, 255]) }],
    ['key: 0123, hmac-key: 1e3', { key: Buffer.from('0123'), hmacKey: Buffer.from('1e3') }],
    [`${keys}, hmac: sha3-512`, { hmac: 'sha3-512' }],
    [`${keys}, max-window: 1h`, { maxWindow: 3600 }],
    [`${keys}, user: 007`, { user: '007' }],
    [`${keys}, require-source-address: true`, { requireSourceAddress: true }],
    [`${keys}, expires: 2027-01-31`, { expires: 1_801_353_600 }],
    [`${keys}, expires: 2038-01-19T03:14:08Z`, { expires: 2 ** 31 }],
    [`${keys}, obo: true, obo-prefixes: [192.0.2.0/24]`, { onBehalfOf: ['192.0.2.0/24'] }],
  ]
  for (const [yaml, want] of table) {
    it(`of {${yaml}}`, () => assert.deepEqual(fwknop(yaml), { ...fwknop(keys), ...want }))
  }

  it('has keys in files', () => {
    const yaml = `services: {s: {port: 1}}
credentials: {c: {type: fwknop, opens: [s], key-file: a, hmac-key-file: b}}`
    const { credentials } = load({ 'pkctl.yaml': yaml, a: 'base64:AP8=\n', b: 'mac\n' }).config
    const { key, hmacKey } = only(credentials.filter(isFwknop))
    assert.deepEqual([key, hmacKey], [Buffer.from([0, 255]), Buffer.from('mac')])
  })

  const wrong: readonly [string, RegExp][] = [
    ['key: enc', /'hmac-key' or 'hmac-key-file' is missing/],
    ['hmac-key: mac', /'key' or 'key-file' is missing/],
    [`key: ${'k'.repeat(33)}, hmac-key: mac`, /c\.key: the key is 33 bytes long, at most 32 are possible/],
    [`key: enc, hmac-key: ${'k'.repeat(137)}`, /c\.hmac-key: the key is 137 bytes long, at most 136/],
    ['key: "", hmac-key: mac', /c\.key: the key is empty/],
    ['key: 0xabc, hmac-key: mac', /c\.key: the key starts with 0x and is not hex after it/],
    ['key: "base64:AP9=", hmac-key: mac', /c\.key: the key starts with base64: and is not base64/],
    ['key: "base64:A-8", hmac-key: mac', /c\.key: the key starts with base64: and is not base64/],
    [`${keys}, hmac: sha224`, /c\.hmac: expected md5, sha1, /],
    [`${keys}, port: any`, /c\.port: expected a port from 1 to 65535, got 'any'/],
    [`${keys}, user: "a:b"`, /c\.user: expected a name of a user/],
    [`${keys}, expires: 2027-02-30`, /c\.expires: expected a date such as/],
    [`${keys}, expires: 31.12.2027`, /c\.expires: expected a date such as/],
    [`${keys}, tag: SSHK`, /unknown key 'tag'/],
  ]
  for (const [yaml, want] of wrong) {
    it(`not of {${yaml.slice(0, 50)}}`, () => {
      const problems = problemsOf(`services: {s: {port: 1}}\ncredentials:\n  c: {type: fwknop, opens: [s], ${yaml}}`)
      assert.match(problems.join('\n'), want)
    })
  }

  it('cannot have the keys of another one', () => {
    const one = `{type: fwknop, opens: [s], ${keys}`
    const problems = problemsOf(`services: {s: {port: 1}}\ncredentials:\n  a: ${one}}\n  b: ${one}, user: x}`)
    assert.deepEqual(problems, ['pkctl.yaml:4:6: credentials.b: has the keys of credentials.a'])
  })

  it('cannot have another interface than one of the same port', () => {
    const problemsWith = (more: string) =>
      problemsOf(
        `services: {s: {port: 1}}\ncredentials:\n  a: {type: fwknop, opens: [s], ${keys}}\n  b: {type: fwknop, opens: [s], key: x, hmac-key: y, interface: eth0${more}}`,
      )
    assert.match(
      problemsWith('').join(),
      /b\.interface: the kernel cannot tell its knocks from those of credentials\.a/,
    )
    assert.deepEqual(problemsWith(', port: 62202'), [])
  })

  it('cannot be one of more than 100 that are enabled', () => {
    const problemsWith = (count: number, last = '') => {
      const names = Array.from({ length: count }, (_, i) => i)
      const lines = names.map(i => `  c${i}: {type: fwknop, opens: [s], key: k${i}, hmac-key: m${i}}`)
      return problemsOf(`services: {s: {port: 1}}\ncredentials:\n${lines.join('\n')}${last}`)
    }
    assert.deepEqual(problemsWith(100), [])
    assert.match(problemsWith(101).join('\n'), /^\S+ credentials\.c100: more than 100 credentials of the type fwknop/)
    const disabled = '\n  d: {type: fwknop, opens: [s], key: x, hmac-key: y, enabled: false}'
    assert.deepEqual(problemsWith(100, disabled), [])
  })

  it('is warned of one key for both', () => {
    const { warnings } = load(
      'services: {s: {port: 1}}\ncredentials:\n  a: {type: fwknop, opens: [s], key: same, hmac-key: same}',
    )
    assert.match(JSON.stringify(warnings), /the encryption key and the HMAC key are the same; use two different keys/)
  })
})
