import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { PkdCredential } from '../../../src/config/types.js'
import { importNfPkd } from '../../../src/import/nf-pkd.js'
import { readRelaxedJson, RelaxedJsonError } from '../../../src/import/relaxed-json.js'
import { parsePkdKey } from '../../../src/knock/pkd.js'
import { UserError } from '../../../src/util/user-error.js'
import { hostile, imported } from './import-support.js'

const from = (...texts: string[]) =>
  imported(importNfPkd(texts.map((text, i) => ({ file: `/etc/nf-pkd/actions.d/f${i}.json`, text }))))
const rules = (...objects: object[]) => from(JSON.stringify(objects))
const ssh = { name: 'ssh', key: 'secret', tag: 'SSHK', window: 30, protocol: 'tcp', port: 22 }

describe('import nf-pkd', () => {
  it('a rule: a service and a credential', () => {
    const { value, warnings } = rules(ssh)
    assert.deepEqual(value, {
      services: { ssh: { port: 22 } },
      credentials: { ssh: { type: 'pkd', tag: 'SSHK', key: 'secret', opens: ['ssh'], window: 30 } },
    })
    assert.deepEqual(warnings, [])
  })

  const skews: readonly [unknown, number][] = [
    [undefined, 10],
    [5, 5],
    [-1, -1],
    [0, 10],
    [-7, 10],
    ['20', 20],
    ['soon', 10],
    [1e6, 86_400],
  ]
  for (const [skew, want] of skews) {
    it(`skew ${String(skew)} is ${want}`, () => {
      assert.equal((rules({ ...ssh, skew }).config.credentials[0] as PkdCredential).skew, want)
    })
  }

  it('any protocol, the default: TCP whose connections go on, and UDP', () => {
    const { config } = rules({ ...ssh, protocol: undefined, reject: 'reset' })
    assert.deepEqual(
      config.services.map(({ name, protocol, syn, closing }) => [name, protocol, syn, closing]),
      [
        ['ssh', 'tcp', true, 'reset'],
        ['udp-22', 'udp', false, 'icmp'],
      ],
    )
  })

  it('several rules for a tag and a port: one service, several credentials', () => {
    const { value } = rules(
      ssh,
      { ...ssh, name: 'two', key: 'other', window: 60 },
      { ...ssh, name: 'two', key: 'third', port: 80 },
    )
    assert.deepEqual(Object.keys(value['services'] ?? {}), ['ssh', 'http'])
    assert.deepEqual(value['credentials']?.['two'], {
      type: 'pkd',
      tag: 'SSHK',
      key: 'other',
      opens: ['ssh'],
      window: 60,
    })
    assert.deepEqual(value['credentials']['two-2']?.['opens'], ['http'])
  })

  it('rules with one tag and key become one credential, whose services have the windows', () => {
    const { config, warnings } = rules(
      { ...ssh, skew: -1 },
      { ...ssh, name: 'web', port: 80, window: 300, tag: '0x5353484b' },
    )
    assert.equal(config.credentials.length, 1)
    const [credential] = config.credentials
    assert.deepEqual(credential?.opens, ['ssh', 'http'])
    assert.equal(credential.window, null)
    assert.equal((credential as PkdCredential).skew, 10)
    assert.deepEqual(
      config.services.map(({ window }) => window),
      [30, 300],
    )
    assert.match(warnings.join('\n'), /'web' has the same tag and key[^]*skews differ \(-1 and 10\); here it is 10/)
  })

  it('where one service would need two windows, the shorter one holds', () => {
    const { config, warnings } = rules(
      ssh,
      { ...ssh, port: 80, window: 300 },
      { ...ssh, name: 'b', key: 'b', port: 80, window: 60 },
      { ...ssh, name: 'b', key: 'b', port: 81, window: 90 },
    )
    const windows = new Map(config.credentials.map(({ name, window }) => [name, window]))
    assert.deepEqual(
      [...windows],
      [
        ['ssh', 30],
        ['b', 60],
      ],
    )
    assert.match(warnings.join('\n'), /open for different times/)
  })

  it('rules that refuse differently: it is dropped, and said', () => {
    const { config, warnings } = rules({ ...ssh, reject: 'reset' }, { ...ssh, name: 'two', key: 'other' })
    assert.equal(config.services[0]?.closing, 'drop')
    assert.match(warnings.join('\n'), /ssh: 22\/tcp is refused in different ways there \(reset by ssh, drop by two\)/)
  })

  it('rules for one port with one tag and key: the shorter window holds, and it is dropped', () => {
    for (const windows of [
      [30, 86_400],
      [86_400, 30],
    ]) {
      const { config, warnings } = rules(
        { ...ssh, window: windows[0], reject: 'reset' },
        { ...ssh, name: 'two', window: windows[1] },
      )
      assert.equal(config.credentials[0]?.window, 30)
      assert.equal(config.services[0]?.closing, 'drop')
      assert.match(warnings.join('\n'), /refused in different ways[^]*open for different times there \(\d+, \d+ s\)/)
    }
  })

  it('commands: without a shell where none is needed, as the user', () => {
    const command = (object: object) =>
      rules({ name: 'x', key: 'k', ...object }).value['credentials']?.['x']?.['on-open']
    assert.deepEqual(command({ 'ext-command': '/bin/a b', 'ext-user': 'nobody' }), {
      command: ['/bin/a', 'b'],
      user: 'nobody',
    })
    assert.deepEqual(command({ action: 'a | b' }), { shell: 'a | b' })
    assert.deepEqual(command({ 'ext-action': '/bin/a' }), { command: ['/bin/a'] })
    const { value, warnings } = rules({ ...ssh, 'ext-command': '/bin/a', 'ext-user': 'no body' })
    assert.equal(value['credentials']?.['ssh']?.['on-open'], undefined, 'not as root instead')
    assert.match(warnings.join('\n'), /left out: ext-command: no body is no name/)
  })

  it('commands: what they may not do under the units of the packages is said once, and only where there are any', () => {
    const rights = /under the units of the packages, commands are run as the user pkctl/g
    const run = { 'ext-command': '/bin/a', 'ext-user': 'nobody' }
    const { yaml } = rules({ ...ssh, ...run }, { name: 'two', key: 'other', ...run })
    const text = yaml.replace(/\n *# ?/g, ' ')
    assert.equal(text.match(rights)?.length, 1, yaml)
    assert.match(text, /what needs root or another user fails \(docs\/installation\.md, commands on a knock\)/)
    assert.doesNotMatch(rules(ssh).yaml, /units/)
  })

  const leftOut: readonly [object, RegExp][] = [
    [{ ...ssh, key: '' }, /the key is empty/],
    [{ ...ssh, key: undefined }, /the key is empty/],
    [{ ...ssh, key: 'k'.repeat(41) }, /41 bytes long/],
    [{ ...ssh, key: '0xzz' }, /not hex/],
    [{ ...ssh, tag: 'TOOLONG' }, /tag is 7 bytes/],
    [{ ...ssh, port: 0 }, /port 0 is not a port/],
    [{ ...ssh, port: 'ssh' }, /port ssh is not a port/],
    [{ ...ssh, protocol: 'icmp' }, /protocol icmp/],
    [{ ...ssh, protocol: 'constructor' }, /protocol constructor/],
    [{ ...ssh, port: undefined }, /neither a port nor a command/],
  ]
  for (const [object, why] of leftOut) {
    it(`left out: ${String(why)}`, () => {
      const { value, warnings } = rules(object)
      assert.deepEqual(value, {})
      assert.match(warnings.join('\n'), why)
      assert.match(warnings.join('\n'), /rule at \/etc\/nf-pkd\/actions\.d\/f0\.json:1/)
    })
  }

  it('obo, unknown keys, windows and ways to refuse that mean nothing are told', () => {
    const { warnings, config } = rules({ ...ssh, obo: true, foo: 1, window: 'long', reject: 'ignore' })
    const said = warnings.join('\n')
    for (const part of [/obo-prefixes/, /left out: foo/, /window long is no time/, /reject ignore/])
      assert.match(said, part)
    assert.equal(config.credentials[0]?.window, 60)
    assert.match(rules({ ...ssh, window: undefined }).warnings.join(), /it has no window; it is 60 s here/)
  })

  it('what the README shows: single quotes, bare words, commas, comments, no list', () => {
    const { value, warnings } = from(
      "[\n  { 'name': 'ssh', key: secret, 'tag': SSHK, 'window': 30, 'protocol': tcp, 'port': 22, }, // one\n# two\n]",
      "{ name: digits, key: 0123, port: 80, protocol: 'tcp', window: 5 }",
    )
    assert.deepEqual(value['credentials']?.['ssh'], {
      type: 'pkd',
      tag: 'SSHK',
      key: 'secret',
      opens: ['ssh'],
      window: 30,
    })
    assert.equal(value['credentials']['digits']?.['key'], '0123')
    assert.match(
      warnings[0] ?? '',
      /f0\.json is not JSON, and was read all the same: .*single quotes.*without quotes.*comma/,
    )
    assert.match(warnings[1] ?? '', /f1\.json .* one object without a list/)
  })

  const errors: readonly [string, number, RegExp][] = [
    ['', 1, /expected a list of rules/],
    ['null', 1, /expected a list of rules/],
    ['[\n1 ]', 2, /expected a rule between/],
    ['[{\n"a" 1}]', 2, /expected a colon/],
    ['[{"a": 1\n"b": 2}]', 2, /expected a comma or \}/],
    ['[{"a": 1}', 1, /expected a comma or \]/],
    ['[{"a": [1]}]', 1, /expected text between double quotes/],
    ['[{"a": {}}]', 1, /expected text between double quotes/],
    ["[{\"a\": 'it's'}]", 1, /single quotes, with a quote/],
    ['[{"a": \'b\\n\'}]', 1, /single quotes, with a quote or a backslash/],
    ['[{"a": "b\n"}]', 1, /double quote at the end/],
    ['[{"a": "\\x"}]', 1, /escape/],
    ['[{"a": "b\tc"}]', 1, /escape or a character/],
    ['[{"a": two words}]', 1, /expected text/],
    ['[{"a": 1, "a": 2}]', 1, /a key is given twice/],
    ['[] x', 1, /nothing more/],
    ['[{"a":', 1, /expected text/],
    ['/* open', 1, /expected a list/],
  ]
  for (const [text, line, message] of errors) {
    it(`cannot be read: ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => readRelaxedJson(text),
        (error: unknown) => error instanceof RelaxedJsonError && error.line === line && message.test(error.message),
      )
      assert.throws(
        () => from(text),
        (error: unknown) => error instanceof UserError && error.message.includes(`f0.json:${line}: `),
      )
    })
  }

  it('hostile text stays text; keys and tags are what they were', () => {
    for (const text of hostile) {
      const key = text.slice(0, 12)
      const { config, value, yaml } = rules(
        { ...ssh, name: text, key, [text]: text },
        { name: 'run', key: 'run', 'ext-command': `/bin/echo ${text}` },
      )
      const found = config.credentials.find(one => one.name !== 'run') as PkdCredential | undefined
      if (text !== '0x1f') assert.deepEqual(found?.key, parsePkdKey(key), text)
      const run = value['credentials']?.['run']?.['on-open'] as { shell?: string; command?: string[] }
      if (run.shell !== undefined) assert.equal(run.shell, `/bin/echo ${text}`)
      // eslint-disable-next-line no-control-regex -- control characters are the point
      assert.doesNotMatch(yaml, /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202e\ufeff]/, text)
    }
  })

  it('what is huge comes to an end', () => {
    assert.match(from(`[${'{},'.repeat(300_000)}]`).warnings.at(-1) ?? '', /more of these/)
    assert.throws(() => from(`[${'{"a":'.repeat(100_000)}`), UserError)
    assert.throws(() => from(`[${'//\n'.repeat(300_000)}`), UserError)
    assert.throws(
      () => from(JSON.stringify(Array.from({ length: 1001 }, (_, i) => ({ ...ssh, key: `k${i}` })))),
      UserError,
    )
    assert.throws(() => from(`[${'{"key":"k","port":1},'.repeat(45_000)}]`), UserError)
  })
})
