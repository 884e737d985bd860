import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { after, describe, it } from 'node:test'
import fc from 'fast-check'
import { loadConfig } from '../../../src/config/load.js'
import { configJsonSchema } from '../../../src/config/schema.js'
import type { LoadedConfig, PkdCredential } from '../../../src/config/types.js'
import { parsePkdKey } from '../../../src/knock/pkd.js'
import type { ServiceSpec } from '../../../src/nft/table/service-spec.js'
import {
  defaults,
  load,
  noTriggers,
  only,
  pkd,
  pkdOf,
  plainService,
  problemsOf,
  range,
  service,
} from './config-support.js'

describe('loadConfig: what it gives', () => {
  for (const text of ['# nothing\n', '---\n', '{}', 'services:\ncredentials:\nlimits:\n']) {
    it(`has every default for ${JSON.stringify(text)}`, () => {
      assert.deepEqual(load(text), { config: defaults, warnings: [] })
    })
  }

  for (const text of ['', '\n', '\ufeff']) {
    it(`takes ${JSON.stringify(text)} for a file that was cut off`, () => {
      assert.match(only(problemsOf(text)), /^pkctl\.yaml:1:1: the configuration is empty/)
    })
  }

  it('takes an empty file beside others in conf.d', () => {
    assert.deepEqual(problemsOf({ 'pkctl.yaml': '', 'conf.d/a.yaml': 'services: {s: {port: 1}}' }), [])
  })

  it('takes more bits of the mark by itself for more kinds of grants than the default has room for, and says so', () => {
    const loaded = (count: number, { windows = count, marks = '' } = {}) => {
      const window = (i: number) => (i % windows) + 1
      const credentials = Array.from(
        { length: count },
        (_, i) => `c${i}: {type: pkd, tag: T${i}, key: k, opens: [s], window: ${window(i)}}`,
      )
      const all = load(`${marks}\nservices: {s: {port: 1}}\ncredentials: {${credentials.join(', ')}}`)
      return { mask: all.config.marks.mask, warnings: all.warnings.filter(text => text.includes('mask')) }
    }
    assert.deepEqual(loaded(31), { mask: 0xff, warnings: [] })
    assert.deepEqual(loaded(100, { windows: 31 }), { mask: 0xff, warnings: [] }, 'what they share counts once')
    const { mask, warnings } = loaded(32)
    assert.equal(mask, 0xffff0000)
    assert.match(
      only(warnings),
      /credentials: they have 32 different .* Calico, Cilium and Tailscale use these bits, too/,
    )
    assert.deepEqual(loaded(32, { marks: 'marks: {mask: 0xff00}' }), { mask: 0xff00, warnings: [] })
    assert.deepEqual(loaded(63, { marks: 'marks: {mask: 0xff00}' }), { mask: 0xff00, warnings: [] })
  })

  it('refuses more kinds of grants than the mask has room for', () => {
    const problems = (count: number, { marks = '', more = '' } = {}) => {
      const window = (i: number) => `window: ${i + 1}`
      const all = Array.from(
        { length: count },
        (_, i) => `c${i}: {type: pkd, tag: T${i}, key: k, opens: [s], ${window(i)}}`,
      )
      return problemsOf(`${marks}\nservices: {s: {port: 1}, t: {port: 2}}\ncredentials: {${[...all, more].join(', ')}}`)
    }
    const marks = 'marks: {mask: 0xff}'
    assert.match(
      only(problems(64, { marks })),
      /:1:15: marks\.mask: the mask 0xff has room for 63 different sets of services and windows, and the credentials have 64 \(use a mask of more bits, or /,
    )
    const opens = 'opens: [t]'
    const sequence = `type: sequence, sequence: [1, 2, 3], ${opens}`
    const rotating = `type: rotating, open-secret: a, close-secret: b, range: 1-9, ${opens}`
    assert.deepEqual(problems(62, { marks, more: `x: {${sequence}}, y: {${sequence}, enabled: false, window: 7}` }), [])
    assert.equal(problems(62, { marks, more: `x: {${rotating}}` }).length, 1, 'which has a sequence to close')
  })

  it('reads every setting', () => {
    const { config } = load(`
      queue: {number: 0, max-length: 1}
      marks: {mask: '0xff00'}
      limits: {per-source: 1, per-network: 4, excess: 3, total: 2, replay-entries: 1000, any-clock-entries: 16, triggers-at-once: 7,
        triggers-waiting: 8}
      state-directory: /tmp/../var/x
      socket: {path: /run/s, group: adm, group-may: [add]}
      log: {level: debug, to: /var/log/pkctl.log, format: json, history: 4096}
      metrics: {listen: '[0:0::1]:9754', textfile: /run/pkctl/../p.prom, interval: 1m}`)
    assert.deepEqual(config, {
      ...defaults,
      queue: { number: 0, maxLength: 1 },
      marks: { mask: 0xff00 },
      limits: {
        perSource: 1,
        perNetwork: 4,
        excess: 3,
        total: 2,
        replayEntries: 1000,
        anyClockEntries: 16,
        triggersAtOnce: 7,
        triggersWaiting: 8,
      },
      stateDirectory: '/var/x',
      socket: { path: '/run/s', group: 'adm', groupMay: ['add'] },
      log: { level: 'debug', to: { file: '/var/log/pkctl.log' }, format: 'json', history: 4096 },
      metrics: { listen: { host: '::1', port: 9754 }, textfile: '/run/p.prom', intervalSeconds: 60 },
    })
  })

  it('reads a fleet, and has none without a URL', () => {
    const key = `0x${'7f'.repeat(32)}`
    const services = 'services: {ssh: {port: 22}}\n'
    const files = { 'fleet.key': key, word: 'secret\nmore', 'ca.pem': '-----BEGIN CERTIFICATE-----\n' }
    const fleetOf = (options: string) =>
      load({ ...files, 'pkctl.yaml': `${services}fleet: {group: edge, key-file: fleet.key, ${options}}` })
    const full =
      "url: 'rediss://[fd00::1]:6380', user: u, password-file: word, ca-file: ca.pem, node: web-1.x, share: [ssh], accept: [ssh], most-grants: 5, longest-window: 8h"
    assert.deepEqual(fleetOf(full), {
      config: {
        ...defaults,
        services: load(services).config.services,
        fleet: {
          engine: { host: 'fd00::1', port: 6380, tls: true, user: 'u', password: 'secret', ca: files['ca.pem'] },
          group: { name: 'edge', key: Buffer.alloc(32, 0x7f) },
          ...{ node: 'web-1.x', share: ['ssh'], accept: ['ssh'], mostPerNode: 5, longestWindowSeconds: 28_800 },
        },
      },
      warnings: load(services).warnings,
    })
    const { fleet } = fleetOf('url: redis://engine.example').config
    assert.deepEqual([fleet?.engine.port, fleet?.engine.tls, fleet?.node], [6379, false, os.hostname()])
    assert.equal(fleetOf('node: web').config.fleet, null)
  })

  it('reads where a knock counts once', () => {
    const key = `0x${'7f'.repeat(32)}`
    const text = [
      ...['services: {ssh: {port: 22}}', 'fleet: {url: redis://engine.example, group: edge, key-file: fleet.key}'],
      ...['credentials:', '  a: {type: pkd, key: test, opens: [ssh], once: group}'],
      '  b: {type: pkd, tag: B, key: test, opens: [ssh], once: node}',
    ].join('\n')
    const { credentials } = load({ 'fleet.key': key, 'pkctl.yaml': text }).config
    assert.deepEqual(
      credentials.map(one => ('once' in one ? one.once : undefined)),
      ['group', undefined],
    )
  })

  it('warns of an engine where others can listen', () => {
    const warningsOf = (options: string) =>
      load({
        ...{ 'fleet.key': `0x${'7f'.repeat(32)}`, word: 'secret' },
        'pkctl.yaml': `services: {}\nfleet: {group: edge, key-file: fleet.key, ${options}}`,
      }).warnings
    for (const url of ['redis://127.0.0.1', 'redis://10.1.2.3', 'redis://[fd00::1]', 'redis://engine.example'])
      assert.deepEqual(warningsOf(`url: '${url}'`), [], url)
    assert.deepEqual(warningsOf('url: rediss://192.0.2.1, password-file: word'), [])
    for (const [options, missing] of [
      ['url: redis://192.0.2.1', 'no TLS and no a password'],
      ['url: redis://192.0.2.1, password-file: word', 'no TLS'],
      ['url: rediss://192.0.2.1', 'no a password'],
    ] as const) {
      const [warning = ''] = warningsOf(options)
      assert.ok(warning.includes(`has a public address, and ${missing}: `.replaceAll('no a ', 'no ')), warning)
    }
  })

  it('warns of metrics that more than this machine can read, and of no others', () => {
    const warningsOf = (listen: string) => load(`services: {}\nmetrics: {listen: '${listen}'}`).warnings
    for (const own of ['127.0.0.1:9754', '127.1.2.3:1', '[::1]:9754', '/run/pkctl/metrics.sock'])
      assert.deepEqual(warningsOf(own), [], own)
    for (const [other, address] of [
      ['0.0.0.0:9754', '0.0.0.0'],
      ['[::]:9754', '::'],
      ['192.0.2.1:9754', '192.0.2.1'],
    ] as const) {
      assert.deepEqual(warningsOf(other), [
        `/etc/pkctl/pkctl.yaml:2:19: metrics.listen: ${address} is not a loopback address, and everyone who reaches the port reads the names of services and credentials`,
      ])
    }
  })

  const services: readonly [string, Partial<ServiceSpec>][] = [
    ['port: 22', {}],
    ['port: "22"', {}],
    ['port: [24, 20-22, 23, 21, 30]', { ports: [range(20, 24), range(30, 30)] }],
    ['port: 22, protocol: udp', { protocol: 'udp', syn: false }],
    ['port: 22, protocol: any, syn: false', { protocol: 'any', syn: false }],
    ['port: 22, syn: false', { syn: false }],
    ['port: 22, reject: reset', { closing: 'reset' }],
    ['port: 22, accept: true', { closing: 'accept' }],
    ['port: 22, accept: false, reject: icmp', { closing: 'icmp' }],
    ['port: 22, fail-open: true', { failOpen: true }],
    ['port: 22, window: 8h', { window: 28_800 }],
    ['port: 22, single-use: true, hook: prerouting', { singleUse: true, hook: 'prerouting' }],
    ['port: 22, prefix4: 8, prefix6: 64', { prefix4: 8, prefix6: 64 }],
    ['port: 22, allow: [10.1.0.0/16, 10.0.0.0/8, 192.0.2.1]', { allow: ['10.0.0.0/8', '192.0.2.1/32'] }],
    ['port: 22, allow: [2001:DB8:0::0/32, 10.0.0.1]', { allow: ['10.0.0.1/32', '2001:db8::/32'] }],
    ['port: 22, interface: eth0', { interfaces: ['eth0'] }],
    ['port: 22, interface: [wg0, "ppp*", eth0, ppp1]', { interfaces: ['eth0', 'ppp*', 'wg0'] }],
    ['port: 22, log: false', { log: null }],
    ['port: 1-65535, except: [80, 443-445]', { ports: [range(1, 79), range(81, 442), range(446, 65_535)] }],
    ['port: [22, 80], except: 80', {}],
    ['port: 22, log: true', { log: { prefix: 'pk-s ', level: 'info', rate: { count: 5, unit: 'minute' }, burst: 5 } }],
    ['port: 22, log: {}', { log: { prefix: 'pk-s ', level: 'info', rate: { count: 5, unit: 'minute' }, burst: 5 } }],
    [
      'port: 22, log: {prefix: "", level: err, limit: none, burst: 9}',
      { log: { prefix: '', level: 'err', rate: null, burst: 0 } },
    ],
  ]
  for (const [yaml, want] of services) {
    it(`makes a service of {${yaml}}`, () => assert.deepEqual(service(yaml), { ...plainService, ...want }))
  }

  const plain = pkd('key: test')
  it('makes a credential', () => {
    assert.deepEqual(plain, {
      name: 'c',
      type: 'pkd',
      tag: Buffer.from('PKD0'),
      key: parsePkdKey('test'),
      keyFrom: { kind: 'inline' },
      port: null,
      opens: ['s'],
      closes: [],
      window: null,
      interfaces: [],
      skew: 10,
      rate: { count: 5, seconds: 10 },
      onBehalfOf: [],
      triggers: noTriggers,
      enabled: true,
    })
  })

  const credentials: readonly [string, Partial<PkdCredential>][] = [
    ['key: 0x74657374', {}],
    ['key: 0123', { key: parsePkdKey('0123') }],
    ['key: 1e3', { key: parsePkdKey('1e3') }],
    ['key: true', { key: parsePkdKey('true') }],
    ['key: 31415926535897932384626433832795', { key: parsePkdKey('31415926535897932384626433832795') }],
    ['key: test, tag: 1234', { tag: Buffer.from('1234') }],
    ['key: test, tag: 0x00010203', { tag: Buffer.from([0, 1, 2, 3]) }],
    ['key: test, port: any', {}],
    ['key: test, port: 62201', { port: 62_201 }],
    ['key: test, window: 2d', { window: 172_800 }],
    ['key: test, skew: -1', { skew: -1 }],
    ['key: test, skew: 0', { skew: 0 }],
    ['key: test, rate: none', { rate: null }],
    ['key: test, rate: 20/hour', { rate: { count: 20, seconds: 3600 } }],
    ['key: test, enabled: false', { enabled: false }],
    ['key: test, window: unlimited', { window: Infinity }],
    [
      'key: test, obo: true, obo-prefixes: [192.0.2.0/24, 2001:db8::/32]',
      { onBehalfOf: ['192.0.2.0/24', '2001:db8::/32'] },
    ],
  ]
  for (const [yaml, want] of credentials) {
    it(`makes a credential of {${yaml}}`, () => assert.deepEqual(pkd(yaml), { ...plain, ...want }))
  }
})

describe('loadConfig: sequences', () => {
  const one = (yaml: string) => {
    const { name: _, ...credential } = only(
      load(`services: {s: {port: 1}}\ncredentials:\n  c: {opens: [s], ${yaml}}`).config.credentials,
    )
    return credential
  }
  const common = {
    opens: ['s'],
    closes: [],
    window: null,
    interfaces: [],
    rate: null,
    triggers: noTriggers,
    enabled: true,
    timeout: 10,
    flags: { mask: 18, value: 2 },
    targets: [],
  }

  it('reads fixed ones', () => {
    assert.deepEqual(one('type: sequence, sequence: [7000, "8000:udp", "9:tcp"], timeout: 1m'), {
      ...common,
      type: 'sequence',
      timeout: 60,
      steps: [
        { port: 7000, protocol: 6 },
        { port: 8000, protocol: 17 },
        { port: 9, protocol: 6 },
      ],
    })
  })

  it('reads rotating ones, with secrets as they are written', () => {
    const rotation = { digest: 'sha256', first: 1, last: 65_535 }
    assert.deepEqual(one('type: rotating, open-secret: 0123'), {
      ...common,
      type: 'rotating',
      open: { ...rotation, secret: '0123' },
      close: null,
      hour: 'utc',
      grace: 0,
    })
    const yaml =
      'type: rotating, open-secret: a, close-secret: b, digest: md5, range: 1000-2000, hour: local, grace: 30'
    assert.deepEqual(one(yaml), {
      ...common,
      type: 'rotating',
      open: { secret: 'a', digest: 'md5', first: 1000, last: 2000 },
      close: { secret: 'b', digest: 'md5', first: 1000, last: 2000 },
      hour: 'local',
      grace: 30,
    })
  })

  it('warns of an ascending one', () => {
    const { warnings } = load(
      'services: {s: {port: 1}}\ncredentials: {c: {type: sequence, sequence: [1, 2], opens: [s]}}',
    )
    assert.match(only(warnings), /pkctl.yaml:2:45: credentials.c.sequence: each port is higher than the one before/)
  })

  const rules: readonly [string, string, boolean][] = [
    ['7000, 9000, 8000', 'syn, ack', true],
    ['7000, 9000, 8000', 'syn, rst', true],
    ['7000, 9000, 8000', 'fin', true],
    ['7000, 9000, 8000', '"!syn"', true],
    ['"7000:udp", 9000, 8000', 'syn, ack', true],
    ['"7000:udp", "8000:udp"', 'syn, ack', false],
    ['7000, 9000, 8000', 'syn', false],
    ['7000, 9000, 8000', 'syn, "!ack", "!rst"', false],
    ['7000, 9000, 8000', '"!ack"', false],
  ]
  for (const [sequence, flags, isUnsent] of rules) {
    it(`${isUnsent ? 'warns of' : 'takes'} the flags ${flags} for ${sequence}`, () => {
      const credential = `{type: sequence, sequence: [${sequence}], opens: [s], tcp-flags: [${flags}]}`
      const { warnings } = load(`services: {s: {port: 1}}\ncredentials:\n  c: ${credential}`)
      const found = warnings.filter(text => text.includes('no client sends them'))
      assert.equal(found.length, isUnsent ? 1 : 0)
      if (isUnsent) assert.match(found.join(), /pkctl.yaml:3:\d+: credentials.c.tcp-flags: .* with syn alone/)
    })
  }
})

describe('loadConfig: conf.d', () => {
  it('puts the files together by name', () => {
    const { config } = load({
      'pkctl.yaml': 'services: {a: {port: 1}}\nlimits: {total: 1}',
      'conf.d/20.yaml': 'services: {c: {port: 3}}',
      'conf.d/10.yml': 'services: {b: {port: 2}}\nlimits: {per-source: 7}',
      'conf.d/.hidden.yaml': 'x: 1',
      'conf.d/30.yaml~': 'x: 1',
    })
    assert.deepEqual(
      config.services.map(({ name }) => name),
      ['a', 'b', 'c'],
    )
    assert.deepEqual(config.limits, { ...defaults.limits, total: 1, perSource: 7 })
  })

  it('allows one port on both hooks', () => {
    assert.deepEqual(problemsOf('services: {a: {port: 1}, b: {port: 1, hook: prerouting}}'), [])
  })
})

describe('loadConfig: any text', () => {
  const words = [
    'services',
    'credentials',
    'ssh',
    'port',
    'type',
    'pkd',
    'key',
    'key-file',
    'opens',
    'log',
    'queue',
    '__proto__',
  ]
  const marks = [
    ': ',
    '\n',
    '\n  ',
    '\n    ',
    '- ',
    '[',
    ']',
    '{',
    '}',
    ', ',
    '&a ',
    '*a',
    '!!set ',
    '? ',
    '"',
    "'",
    '|',
    '#',
    '0x1',
    '%',
  ]
  const yamlLike = fc
    .array(fc.constantFrom(...words, ...marks, '22', 'true', '~'), { maxLength: 40 })
    .map(parts => parts.join(''))
  const values = fc.jsonValue({ maxDepth: 3 })
  const shaped = fc
    .record({
      services: fc.dictionary(
        fc.constantFrom('a', 'b', '-'),
        fc.record({ port: values, allow: values, log: values }, { requiredKeys: [] }),
      ),
      credentials: fc.dictionary(
        fc.constantFrom('a', 'b'),
        fc.record(
          { type: fc.constant('pkd'), key: values, 'key-file': values, opens: values, skew: values, rate: values },
          { requiredKeys: [] },
        ),
      ),
      queue: values,
      log: values,
    })
    .map(value => JSON.stringify(value))

  for (const [name, arbitrary] of Object.entries({ text: fc.string({ unit: 'binary' }), yamlLike, shaped })) {
    it(`gives a configuration or a ConfigError: ${name}`, () => {
      fc.assert(
        fc.property(arbitrary, text => {
          for (const line of problemsOf(text)) assert.match(line, /^[\w./]+:\d+:\d+: \S/)
        }),
        { numRuns: 1000 },
      )
    })
  }
})

describe('the sample, the documentation and the JSON schema', () => {
  // Compiled tests run from the build directory or from a copy of it.
  const root = [path.resolve(import.meta.dirname, '../../../..'), process.cwd()].find(directory =>
    fs.existsSync(path.join(directory, 'templates/pkctl.yaml')),
  )
  assert.ok(root !== undefined, 'run the tests from the repository')
  const template = fs.readFileSync(path.join(root, 'templates/pkctl.yaml'), 'utf8')
  const documentation = fs.readFileSync(path.join(root, 'docs/configuration.md'), 'utf8')

  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-config-'))
  after(() => fs.rmSync(directory, { recursive: true }))
  fs.mkdirSync(path.join(directory, 'keys'))
  for (const name of ['laptop', 'hourly.open', 'hourly.close']) {
    fs.writeFileSync(path.join(directory, 'keys', name), 'open sesame\n', { mode: 0o600 })
  }
  fs.writeFileSync(path.join(directory, 'sequences'), ' 7000,8000:udp\n'.repeat(5), { mode: 0o600 })
  fs.writeFileSync(path.join(directory, 'keys/telephone'), 'enc\n', { mode: 0o600 })
  fs.writeFileSync(path.join(directory, 'keys/telephone-hmac'), 'mac\n', { mode: 0o600 })
  fs.writeFileSync(path.join(directory, 'keys/visitor'), '0x31\n', { mode: 0o600 })
  fs.writeFileSync(path.join(directory, 'keys/phone'), `0x${'31'.repeat(32)}\n`, { mode: 0o600 })

  /** Loads `text` from a real file. */
  function loadReal(text: string): LoadedConfig {
    const file = path.join(directory, 'pkctl.yaml')
    const here = text
      .replaceAll('/etc/pkctl/keys', path.join(directory, 'keys'))
      .replaceAll('/var/lib/pkctl/sequences', path.join(directory, 'sequences'))
    fs.writeFileSync(file, here, { mode: 0o600 })
    return loadConfig(file)
  }

  it('the sample holds the defaults', () => {
    assert.deepEqual(load(template), { config: defaults, warnings: [] })
  })

  it('the examples of the sample load, and hold the defaults', () => {
    const { config, warnings } = loadReal(template.replace(/^#(?= {2})/gm, ''))
    assert.deepEqual(warnings, [])
    const rate = { count: 5, unit: 'minute' }
    assert.deepEqual(config.services, [
      { ...plainService, name: 'ssh', log: { prefix: 'pk-ssh ', level: 'info', rate, burst: 5 } },
      { ...plainService, name: 'web', ports: [range(80, 80), range(443, 443), range(8000, 8010)], closing: 'accept' },
    ])
    const { key: _, ...laptop } = only(pkdOf(config.credentials).filter(({ name }) => name === 'laptop'))
    const { key: __, ...plain } = pkd('key: x')
    const keyFrom = { kind: 'file', path: path.join(directory, 'keys/laptop') }
    assert.deepEqual(laptop, { ...plain, name: 'laptop', keyFrom, opens: ['ssh'], window: 60 })
  })

  it('the complete example of the documentation loads', () => {
    const [, example = ''] = /## A complete example\n+```yaml\n(.*?)```/s.exec(documentation) ?? []
    const { config, warnings } = loadReal(example)
    assert.deepEqual(warnings, [])
    assert.deepEqual(
      pkdOf(config.credentials).map(({ name, tag, enabled }) => [name, tag.toString(), enabled]),
      [
        ['laptop', 'SSHK', true],
        ['old-phone', 'PHON', true],
        ['visitor', 'VIS1', false],
      ],
    )
    assert.equal(config.services.length, 3)
  })

  it('reads real modes: a key file that everyone can read', () => {
    const file = path.join(directory, 'keys/open')
    fs.writeFileSync(file, 'x')
    fs.chmodSync(file, 0o644)
    fs.symlinkSync(file, path.join(directory, 'keys/link'))
    const text = 'credentials: {c: {type: pkd, opens: [s], key-file: keys/link}}'
    assert.throws(() => loadReal(text), /keys\/link can be read by group or others \(mode 0644\)/)
  })

  interface Node {
    description?: string
    default?: unknown
    properties?: Record<string, Node>
    additionalProperties?: Node | false
    anyOf?: Node[]
    oneOf?: Node[]
  }
  /** Every option with its name. */
  function optionsOf(node: Node): [string, Node][] {
    const children = [node.additionalProperties, ...(node.anyOf ?? []), ...(node.oneOf ?? [])]
    return [
      ...Object.entries(node.properties ?? {}).flatMap(([name, option]) => [
        [name, option] as [string, Node],
        ...optionsOf(option),
      ]),
      ...children.flatMap(child => (child ? optionsOf(child) : [])),
    ]
  }
  const schema = configJsonSchema() as Node & { title: string; $schema: string }
  const options = optionsOf(schema)

  it('templates/pkctl.schema.json is what pkctl check --schema prints', () => {
    const text = fs.readFileSync('templates/pkctl.schema.json', 'utf8')
    assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(configJsonSchema())))
  })

  it('the JSON schema describes every option and its default', () => {
    assert.equal(schema.title, 'pkctl configuration')
    assert.match(schema.$schema, /draft-07/)
    const names = new Set(options.map(([name]) => name))
    for (const deep of ['state-directory', 'burst', 'key-file']) assert.ok(names.has(deep), deep)
    for (const [name, { description = '', default: value }] of options) {
      assert.match(description, /^\w.{5,}/, name)
      const isSection = typeof value === 'object' && value !== null && !Array.isArray(value)
      if (value === undefined || isSection) continue
      const text = typeof value === 'string' ? value : JSON.stringify(value)
      assert.ok(description.endsWith(`Default: ${text}`), `${name}: ${description}`)
    }
  })

  it('the sample and the documentation have every option', () => {
    for (const [name] of options) {
      assert.match(template, new RegExp(`^#? *${name}:|or ${name}:|^#? *${name}: `, 'm'), `sample: ${name}`)
      assert.match(documentation, new RegExp(`^(\\| \`|### )${name}`, 'm'), `documentation: ${name}`)
    }
  })
})
