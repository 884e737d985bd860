/** What administrators and users write: pkctl.yaml with conf.d, hosts.yaml, and the file of ipt_pkd's client. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { findHostEntry } from '../../../src/client/hosts-file.js'
import { findIptPkdHost } from '../../../src/client/ipt-pkd-hosts.js'
import { ConfigError } from '../../../src/config/config-error.js'
import { loadConfig } from '../../../src/config/load.js'
import { UserError } from '../../../src/util/user-error.js'
import { root } from '../../support/commands.js'
import { fakeReader, main } from '../../unit/config/config-support.js'
import { isClear, orRefused } from '../properties.js'
import type { Target } from '../target.js'

/** Begins the second file, in conf.d. */
const nextFile = '\n---8<---\n'

const template = fs.readFileSync(path.join(root, 'templates/pkctl.yaml'), 'utf8')
const small = `services:
  ssh: { port: 22, allow: [192.0.2.0/24], reject: reset, window: 1h }
  web: { port: [80, 8000-8010], protocol: tcp, single-use: true, log: { prefix: web, limit: 5/minute } }
credentials:
  laptop: { type: pkd, tag: SSHK, key: 0x0102030405060708, opens: [ssh], rate: 5/10s, skew: 10, on-behalf-of: [192.0.2.0/24] }
  phone: { type: sequence, sequence: [7000, '8000:udp', 9000], timeout: 10, opens: [web], tcp-flags: [syn, '!ack'] }
  paper: { type: one-time, file: list, opens: [ssh] }
  hourly: &x
    type: rotating
    open-secret: secret
    close-secret: other
    digest: sha256
    range: 1000-60000
    opens: [ssh]
    on-open: { command: [/bin/true, '{ip}'], user: nobody }
`
const more =
  'services: {dns: {port: 53, protocol: udp}}\nlog: {level: debug, to: /var/log/pkctl.log}\nqueue: {number: 5}\n'
const hosts = `home: { host: 192.0.2.1, key: secret, tag: SSHK, port: 40000, connect: 22 }
"0123":
  host: example.org
  sequence: [7000, 8000:udp]
  close-sequence: [1, 2]
work: { host: h, identity: "pk1:PpzHRP1DudSnLgGc0PpcP3IDTXGsmTM_2yKeBp0o8Fk", ssh-key: ~/k, certificate: c }
hourly: { host: h, open-secret: a, digest: md5, range: 1-100, hour: local, close: home, delay: 20 }
`
const yamlWords = [
  ...[
    'services:',
    'credentials:',
    '<<: *x',
    '&x',
    '*x',
    '!!binary',
    '!!set',
    '? ',
    '- ',
    '|',
    '>-',
    '{',
    '}',
    '[',
    ']',
  ],
  ...[
    '%YAML 1.1\n',
    '---\n',
    '...',
    '__proto__: {a: 1}',
    'constructor:',
    nextFile,
    'type: pkd',
    'opens: [ssh]',
    'key:',
  ],
]

const directory = path.join(os.tmpdir(), `pkctl-fuzz-${process.pid}`)
const fileWith = (name: string, content: string | Buffer) => {
  fs.mkdirSync(directory, { recursive: true })
  fs.writeFileSync(path.join(directory, name), content)
  return path.join(directory, name)
}
process.on('exit', () => fs.rmSync(directory, { recursive: true, force: true }))

/** That each of the names is a host entry of this text, or refused clearly. */
export function readsHosts(text: string | Buffer, names: readonly string[]): void {
  const file = fileWith('hosts.yaml', text)
  for (const name of names) {
    const entry = orRefused(() => findHostEntry(name, file), UserError)
    if (entry !== undefined) assert.equal(typeof entry.host, 'string')
  }
}

export const configurationTargets: readonly Target[] = [
  {
    name: 'config',
    seeds: [small, small + nextFile + more, template, more],
    words: yamlWords,
    runs: 500,
    run(input) {
      const [first = '', second] = input.toString('latin1').split(nextFile)
      const file = (text: string) => ({ text: Buffer.from(text, 'latin1') })
      const list = { text: ' 1,2,3\n' }
      const files = {
        'pkctl.yaml': file(first),
        list,
        ...(second === undefined ? {} : { 'conf.d/more.yaml': file(second) }),
      }
      let loaded
      try {
        loaded = loadConfig(main, fakeReader(files))
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error
        assert.ok(error.problems.length > 0)
        for (const { message, hint, line, column } of error.problems) {
          isClear(message)
          if (hint !== undefined) isClear(hint)
          assert.ok(line >= 1 && column >= 1)
        }
        return
      }
      for (const warning of loaded.warnings) isClear(warning)
      for (const { name, ports } of loaded.config.services) {
        assert.match(name, /^[A-Za-z0-9][\w-]{0,39}$/)
        assert.ok(ports.every(({ first: a, last: b }) => a >= 1 && a <= b && b <= 65_535))
      }
    },
  },
  {
    name: 'hosts.yaml',
    seeds: [hosts],
    words: [...yamlWords, 'host:', 'sequence:', 'connect:'],
    run: input => readsHosts(input, ['home', '0123', 'hourly', '__proto__', 'constructor']),
  },
  {
    name: 'ipt_pkd.ini',
    seeds: ['[home]\nhost = 192.0.2.1\nkey = secret ; not this\ntag: PKD0\nport = 0\n[DEFAULT]\nold=no\n'],
    words: ['[home]', '=', ':', ';', '%(', 'host', 'DEFAULT'],
    run(input) {
      const file = fileWith('ipt_pkd.ini', input)
      for (const name of ['home', '__proto__', '']) orRefused(() => findIptPkdHost(name, file), UserError)
    },
  },
]
