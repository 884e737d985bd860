import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { after, describe, it } from 'node:test'
import type { FwknopCredential } from '../../../src/config/types.js'
import { importFwknop } from '../../../src/import/fwknop.js'
import { importFrom } from '../../../src/import/import-system.js'
import { hostile, imported } from './import-support.js'

const key = 'DwpZv8Hn26OzcK75UPY30TBpni8RhoTYr5n1uWbjLck='
const hmacKey = 'mkbioWXJzYGAKo00l1KynPAAVEAl/9v0s7tjX115RuhucToS4/yzNTSENiXg/y4U++bfdbQ569iKoIWJhoZSrg=='
const keys = [`KEY_BASE64 ${key}`, `HMAC_KEY_BASE64 ${hmacKey}`]
const stanza = (...lines: string[]) => ['SOURCE ANY', ...keys, 'OPEN_PORTS tcp/22', ...lines].join('\n')
const from = (text: string, daemon?: string) => imported(importFwknop(text, daemon))
const ipv6 = /^fwknop sends over IPv4 alone/
/** Without the warning that every import has. */
const warningsOf = (warnings: readonly string[]) =>
  warnings.filter(warning => !warning.startsWith('fwknop sends over IPv4 alone'))
const nothing = (text: string) => {
  const { value, warnings } = from(text)
  assert.deepEqual(value, {})
  return warnings.join('\n')
}

describe('import fwknop', () => {
  it('a stanza as fwknop --key-gen makes its keys', () => {
    const { value, warnings } = from(stanza())
    assert.deepEqual(value, {
      services: { ssh: { port: 22 } },
      credentials: {
        fwknop: { type: 'fwknop', key: `base64:${key}`, 'hmac-key': `base64:${hmacKey}`, opens: ['ssh'], window: 30 },
      },
    })
    assert.match(warnings.join('\n'), ipv6)
    assert.equal(warnings.length, 1)
  })

  it('every option that pkctl has', () => {
    const text = [
      '# a comment',
      'source:  any ; # as older versions write it',
      "KEY      it's # secret;",
      'HMAC_KEY  another secret',
      'HMAC_DIGEST_TYPE sha3_512',
      'OPEN_PORTS tcp/22, UDP/1194,tcp/22',
      'RESTRICT_PORTS tcp/23',
      'FW_ACCESS_TIMEOUT 60',
      'MAX_FW_TIMEOUT 3600',
      'REQUIRE_USERNAME alice',
      'REQUIRE_SOURCE_ADDRESS Y',
      'ACCESS_EXPIRE 1/31/2037',
      'ENCRYPTION_MODE cbc',
      'FORWARD_ALL N',
      'ENABLE_CMD_EXEC N',
    ].join('\r\n')
    const { value, warnings, credentials } = from(text)
    assert.deepEqual(value['credentials'], {
      alice: {
        type: 'fwknop',
        key: "it's # secret",
        'hmac-key': 'another secret',
        hmac: 'sha3-512',
        'max-window': 3600,
        user: 'alice',
        'require-source-address': true,
        expires: '2037-01-31',
        opens: ['ssh', 'openvpn'],
        window: 60,
      },
    })
    assert.deepEqual(warningsOf(warnings), [])
    assert.equal((credentials.get('alice') as FwknopCredential).expires, Date.UTC(2037, 0, 31) / 1000)
  })

  it('a second of expiry beyond 2038', () => {
    const { credentials } = from(stanza('ACCESS_EXPIRE_EPOCH 4000000000'))
    assert.equal((credentials.get('fwknop') as FwknopCredential).expires, 4_000_000_000)
  })

  it('one stanza after another, with names of their own and the services that they share', () => {
    const other = (name: string) => `KEY ${name} encrypts\nHMAC_KEY ${name} signs\nREQUIRE_USERNAME bob`
    const { value } = from(
      [
        stanza(),
        `SOURCE ANY\n${other('one')}\nOPEN_PORTS tcp/22,tcp/443`,
        `SOURCE ANY\n${other('two')}\nOPEN_PORTS tcp/443`,
      ].join('\n'),
    )
    assert.deepEqual(value['services'], { ssh: { port: 22 }, https: { port: 443 } })
    const opens = Object.entries(value['credentials'] ?? {}).map(([name, one]) => [name, one['opens']])
    assert.deepEqual(opens, [
      ['fwknop', ['ssh']],
      ['bob', ['ssh', 'https']],
      ['bob-2', ['https']],
    ])
  })

  it('without OPEN_PORTS, what the other stanzas open', () => {
    const all = 'SOURCE ANY\nKEY a\nHMAC_KEY b\nRESTRICT_PORTS tcp/80'
    const { value, warnings } = from(`${stanza().replace('tcp/22', 'tcp/22,tcp/80')}\n${all}`)
    assert.deepEqual(value['credentials']?.['fwknop-2']?.['opens'], ['ssh'])
    assert.match(warnings.join('\n'), /fwknop-2: it opens every port that a packet asks for there/)
    assert.match(nothing(all), /at line 1: it opens every port that a packet asks for: name ports in OPEN_PORTS/)
  })

  it('a limit on the source is not lifted: the credential is off', () => {
    const { credentials, warnings } = from(stanza().replace('ANY', '192.0.2.0/24'))
    assert.equal(credentials.get('fwknop')?.enabled, false)
    assert.match(warnings.join('\n'), /SOURCE 192\.0\.2\.0\/24: here packets from all addresses would count/)
  })

  const leftOutOptions: readonly [string, RegExp][] = [
    ['DESTINATION 192.0.2.1', /left out: DESTINATION 192\.0\.2\.1: here packets to all addresses/],
    ['ENABLE_CMD_EXEC Y\nCMD_EXEC_USER nobody', /left out: ENABLE_CMD_EXEC, CMD_EXEC_USER: packets with commands/],
    ['FORCE_SNAT 192.0.2.1', /left out: FORCE_SNAT: packets that ask for NAT are refused/],
    ['GPG_DECRYPT_ID ABCD\nGPG_DECRYPT_PW secret', /left out: GPG_DECRYPT_ID, GPG_DECRYPT_PW: packets of GnuPG/],
    ['FW_ACCESS_TIMEOUT 0', /FW_ACCESS_TIMEOUT 0 is no time from 1 second to a year; it is 30 s here/],
    ['MAX_FW_TIMEOUT x', /MAX_FW_TIMEOUT x is no time from 1 second to a year; it is 300 s here/],
    ['%include /etc/fwknop/more.conf', /left out: line 5: %include \/etc\/fwknop\/more\.conf: import those files, too/],
    ['KEY_BASE64 again; and more', /twice, with different values/],
    ['???', /left out: line 5: it does not begin with a keyword/],
    ['FW_ACCESS_TIMEOUT 30; 40', /left out: line 5: what follows the ; after FW_ACCESS_TIMEOUT/],
  ]
  for (const [lines, reason] of leftOutOptions) {
    it(`names what is not taken: ${lines.replace('\n', ', ')}`, () => {
      assert.match(from(stanza(lines)).warnings.join('\n'), reason)
    })
  }

  it('leaves out ports that cannot be read, and names them', () => {
    const { value, warnings } = from(stanza().replace('tcp/22', 'tcp/22,icmp/1,tcp/0'))
    assert.deepEqual(value['services'], { ssh: { port: 22 } })
    assert.match(warnings.join('\n'), /OPEN_PORTS icmp\/1: it is no port[^]*OPEN_PORTS tcp\/0: it is no port/)
  })

  const refusals: readonly [name: string, text: string, RegExp][] = [
    ['no HMAC', `SOURCE ANY\n${keys[0]}\nOPEN_PORTS tcp/22`, /at line 1: it has no HMAC_KEY/],
    ['no key', `SOURCE ANY\n${keys[1]}\nOPEN_PORTS tcp/22`, /it has no KEY$/],
    ['GnuPG alone', 'SOURCE ANY\nGPG_DECRYPT_ID A\nHMAC_KEY b', /made by GnuPG, and it has no KEY/],
    ['the key of the example', 'SOURCE ANY\nKEY __CHANGEME__\nHMAC_KEY b', /its KEY is __CHANGEME__, which is no key/],
    ['a key in both spellings', stanza('KEY secret'), /it has KEY and KEY_BASE64/],
    ['a key that is no base64', 'SOURCE ANY\nKEY_BASE64 a*\nHMAC_KEY b', /KEY: the key starts with base64: and is not/],
    [
      'a key that is too long',
      `SOURCE ANY\nKEY ${'k'.repeat(33)}\nHMAC_KEY b`,
      /KEY: the key is 33 bytes long, at most 32/,
    ],
    [
      'an HMAC key that is too long',
      `SOURCE ANY\nKEY a\nHMAC_KEY ${'k'.repeat(137)}`,
      /HMAC_KEY: the key is 137 bytes/,
    ],
    ['another mode', stanza('ENCRYPTION_MODE legacy'), /ENCRYPTION_MODE legacy, and pkctl takes those in CBC mode/],
    ['another HMAC', stanza('HMAC_DIGEST_TYPE crc32'), /HMAC_DIGEST_TYPE: digest crc32 is not supported/],
    ['forwarding', stanza('FORCE_NAT 192.0.2.1 22'), /it forwards to other machines \(FORCE_NAT\)/],
    ['forwarding of everything', stanza('FORWARD_ALL Y'), /it forwards to other machines \(FORWARD_ALL\)/],
    ['a command', stanza('CMD_CYCLE_OPEN /bin/open $IP'), /it runs a command and opens no port \(CMD_CYCLE_OPEN\)/],
    ['an unknown option', stanza('REQUIRE_MOON Y'), /REQUIRE_MOON is no option of fwknop that is known here/],
    ['a name that no client sends', stanza('REQUIRE_USERNAME a:b'), /REQUIRE_USERNAME a:b is no name/],
    ['a day that is none', stanza('ACCESS_EXPIRE 2/31/2030'), /2\/31\/2030 is no time at which it expires/],
    ['a second that is none', stanza('ACCESS_EXPIRE_EPOCH -1'), /-1 is no time at which it expires/],
    ['two ends', stanza('ACCESS_EXPIRE 1/1/2030\nACCESS_EXPIRE_EPOCH 1'), /ACCESS_EXPIRE and ACCESS_EXPIRE_EPOCH/],
    ['an option twice', stanza('OPEN_PORTS tcp/80'), /it has OPEN_PORTS twice, with different values/],
    ['keys elsewhere', stanza('%include_keys /home/k'), /it has %include_keys \/home\/k: write what is in that file/],
    ['no port that can be read', stanza().replace('tcp/22', 'none'), /none of its OPEN_PORTS can be opened/],
    ['a restricted port that cannot be read', stanza('RESTRICT_PORTS 22'), /RESTRICT_PORTS 22 is no port/],
    ['nothing but restricted ports', stanza('RESTRICT_PORTS tcp/22'), /at line 1/],
    ['no SOURCE', 'KEY secret', /line 1: KEY stands before the first SOURCE/],
  ]
  for (const [name, text, reason] of refusals) {
    it(`leaves a stanza out that has ${name}`, () => {
      const said = nothing(text)
      assert.match(said, reason)
      assert.doesNotMatch(said, /secret|kkk|DwpZ/)
    })
  }

  it('leaves a stanza out that has the keys of another, which pkctl could not tell apart', () => {
    const { credentials, warnings } = from(`${stanza()}\n${stanza().replace('22', '80')}`)
    assert.deepEqual([...credentials.keys()], ['fwknop'])
    assert.match(warnings.join('\n'), /the stanza at line 5: it has the keys of the stanza at line 1/)
  })

  it('names are those of users, and notes and YAML stand whatever the file has', () => {
    for (const text of hostile) {
      const { credentials } = from(stanza(`REQUIRE_USERNAME ${text}`).replace(/KEY_BASE64 .*/, `KEY ${text}`))
      assert.ok(credentials.size <= 1)
    }
    const meant = from('SOURCE ANY\nKEY 0x31\nHMAC_KEY base64:YQ==\nOPEN_PORTS tcp/22').credentials.get('fwknop')
    const { key, hmacKey } = meant as FwknopCredential
    assert.deepEqual([key.toString(), hmacKey.toString()], ['0x31', 'base64:YQ=='])
  })
})

describe("import fwknop, with fwknopd's own file", () => {
  const options = (daemon: string) => {
    const { value, warnings } = from(stanza(), daemon)
    const { port, skew, interface: name } = value['credentials']?.['fwknop'] ?? {}
    return { port, skew, name, said: warningsOf(warnings).join('\n') }
  }

  it('has its port, its age of packets and its interface', () => {
    const { said, ...rest } = options('PCAP_FILTER udp dst port 7777;\nMAX_SPA_PACKET_AGE 60;\nPCAP_INTF eth1;\n')
    assert.deepEqual(rest, { port: 7777, skew: 60, name: 'eth1' })
    assert.match(said, /PCAP_INTF eth1: packets count on this interface alone, but ports are closed on all/)
  })

  it('has the port of its server in place of a filter and an interface', () => {
    const { said, ...rest } = options('ENABLE_UDP_SERVER Y\nUDPSERV_PORT 5000\nPCAP_INTF eth1\nPCAP_FILTER tcp')
    assert.deepEqual({ ...rest, said }, { port: 5000, skew: undefined, name: undefined, said: '' })
  })

  const cases: readonly [string, RegExp, object][] = [
    ['PCAP_FILTER udp dst portrange 10000-65535', /left out: fwknopd\.conf, PCAP_FILTER udp dst portrange/, {}],
    ['ENABLE_SPA_PACKET_AGING N', /packets of any age count, as there/, { skew: -1 }],
    ['MAX_SPA_PACKET_AGE 0', /MAX_SPA_PACKET_AGE 0 is no time/, {}],
    ['PCAP_INTF eth0/1', /left out: PCAP_INTF eth0\/1: packets count on all interfaces/, {}],
    ['ENABLE_TCP_SERVER Y', /left out: fwknopd\.conf, ENABLE_TCP_SERVER: packets count over UDP alone/, {}],
    ['ENABLE_SPA_OVER_HTTP Y', /left out: fwknopd\.conf, ENABLE_SPA_OVER_HTTP/, {}],
    ['ENABLE_IPT_FORWARDING Y', /left out: fwknopd\.conf, ENABLE_IPT_FORWARDING/, {}],
    ['VERBOSE 0;\nPCAP_INTF any', /^$/, {}],
    ['???', /left out: fwknopd\.conf, line 1: it does not begin with a keyword/, {}],
  ]
  for (const [text, reason, want] of cases) {
    it(`says of ${text.replace('\n', ', ')} what is not as there`, () => {
      const { said, ...rest } = options(text)
      assert.match(said, reason)
      assert.deepEqual(rest, { port: undefined, skew: undefined, name: undefined, ...want })
    })
  }
})

describe('import fwknop FILE', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-fwknop-'))
  after(() => fs.rmSync(directory, { recursive: true, force: true }))

  it('reads the fwknopd.conf beside it, and gives each key a file of its own', () => {
    const file = path.join(directory, 'access.conf')
    fs.writeFileSync(file, stanza())
    fs.writeFileSync(path.join(directory, 'fwknopd.conf'), 'PCAP_FILTER udp port 7777')
    const { yaml, files } = importFrom('fwknop', [file], '/keys')
    // A long name of a folder wraps the comment elsewhere.
    assert.match(yaml.replaceAll('\n# ', ' '), /^# From fwknop, .*access\.conf\. Stop fwknopd before pkctld starts\./)
    assert.match(yaml, /port: 7777/)
    assert.deepEqual(
      files.map(one => one.path),
      ['/keys/fwknop', '/keys/fwknop-hmac'],
    )
    assert.doesNotMatch(yaml, /DwpZ/)
  })
})
