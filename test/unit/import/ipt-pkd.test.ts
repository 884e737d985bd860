import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { describe, it } from 'node:test'
import { findHostEntry } from '../../../src/client/hosts-file.js'
import type { PkdCredential } from '../../../src/config/types.js'
import { importIptPkdHosts } from '../../../src/import/ipt-pkd-client.js'
import { importIptPkd } from '../../../src/import/ipt-pkd-rules.js'
import { printHosts } from '../../../src/import/print-yaml.js'
import { UserError } from '../../../src/util/user-error.js'
import { hostile, imported } from './import-support.js'

const from = (...lines: string[]) => imported(importIptPkd(['*filter', ...lines, 'COMMIT', ''].join('\n')))
const knock = '-A INPUT -p udp -m pkd --key test --tag SSHK --window 10 -m recent --set --name pkd --rsource -j DROP'
const check = '-A INPUT -p tcp --dport 22 -m recent --rcheck --seconds 60 --name pkd --rsource -j ACCEPT'

describe('import ipt_pkd', () => {
  it('a rule for knocks and one for the list that they fill', () => {
    const { value, warnings } = from(knock, check)
    assert.deepEqual(value, {
      services: { ssh: { port: 22 } },
      credentials: { SSHK: { type: 'pkd', tag: 'SSHK', key: 'test', opens: ['ssh'], window: 60 } },
    })
    assert.deepEqual(warnings, [])
  })

  it('as iptables-save prints it, with counters, several ports, and rules of others', () => {
    const { value, yaml } = from(
      ':INPUT DROP [0:0]',
      '[5:300] -A INPUT -i lo -j ACCEPT',
      `[0:0] ${knock}`,
      '[0:0] -A INPUT -p tcp -m tcp -m multiport --dports 80,443,8000:8010 -m state --state NEW -m recent --rcheck --seconds 30 --name pkd --mask 255.255.255.255 --rsource -j ACCEPT',
    )
    assert.deepEqual(value['services'], { 'tcp-80-and-more': { port: [80, 443, '8000-8010'] } })
    assert.match(yaml, /# no part in knocks: 1 other rule,/)
  })

  it('a chain that fills the list, a key of hex, a port to knock at, any clock, the default tag', () => {
    const { config, warnings } = from(
      '-A INPUT -p udp --dport 4000 -m pkd --key 0x0102 --window 0 -j KNOCK',
      '-A KNOCK -m recent --set --name pkd --rsource -j DROP',
      check,
    )
    const { port, skew, tag, key } = config.credentials[0] as PkdCredential
    assert.deepEqual([port, skew, tag.toString(), key.subarray(0, 3).toString('hex')], [4000, -1, 'PKD0', '010200'])
    assert.match(warnings.join(), /--window 0/)
  })

  it('several knocks and lists: each opens what checks its list', () => {
    const { value } = from(
      knock,
      knock.replace('--key test', '--key "o ther"').replace('--name pkd', '--name two'),
      check,
      check.replace('--dport 22', '--dport 80').replace('--name pkd', '--name two').replace('-p tcp', '-p udp'),
    )
    assert.deepEqual(value['credentials']?.['SSHK']?.['opens'], ['ssh'])
    assert.equal(value['credentials']['SSHK-2']?.['key'], 'o ther')
    assert.deepEqual(value['credentials']['SSHK-2']['opens'], ['udp-80'])
  })

  it('without --seconds it is open without end, which is said', () => {
    const { value, warnings } = from(knock, check.replace('--seconds 60 ', ''))
    assert.equal(value['credentials']?.['SSHK']?.['window'], 'unlimited')
    assert.match(warnings.join(), /22\/tcp: without --seconds/)
  })

  const refused = '-A INPUT -p tcp -m tcp --dport 22 -m state --state NEW -j'

  it('its own first example: the rule that refuses is how the service refuses, and is to be taken out', () => {
    const { value, warnings, yaml } = from(
      '-A INPUT -p udp -m pkd --key test --tag SSHK --window 10 -m recent --set --name door --rsource',
      '-A INPUT -p tcp -m tcp --dport 22 -m state --state NEW -m recent --rcheck --seconds 60 --hitcount 1 --name door --rsource -j ACCEPT',
      `${refused} REJECT --reject-with tcp-reset`,
    )
    assert.deepEqual(value['services'], { ssh: { port: 22, reject: 'reset' } })
    assert.deepEqual(value['credentials']?.['SSHK']?.['opens'], ['ssh'])
    assert.equal(value['credentials']['SSHK']['window'], 60)
    assert.match(warnings.join('\n'), /^line 4 refuses 22\/tcp \(REJECT\): take it out of iptables/)
    assert.equal(warnings.length, 1)
    assert.match(yaml.replace(/\n# /g, ' '), /take lines 2, 3 and 4 out of iptables/)
  })

  const refusals: readonly [string, string | undefined][] = [
    ['DROP', undefined],
    ['REJECT', 'icmp'],
    ['REJECT --reject-with icmp-port-unreachable', 'icmp'],
    ['REJECT --reject-with tcp-reset', 'reset'],
  ]
  for (const [target, reject] of refusals) {
    it(`${target}: refused in that way here, too`, () => {
      const { value, warnings } = from(knock, check, `${refused} ${target}`)
      assert.deepEqual(value['services'], { ssh: { port: 22, ...(reject === undefined ? {} : { reject }) } })
      assert.match(warnings.join('\n'), /line 4 refuses 22\/tcp/)
    })

    it(`! --rcheck and ${target}: who is not in the list is refused, so the list opens it`, () => {
      const rule = `${refused.replace(' -j', '')} -m recent ! --rcheck --seconds 30 --name pkd --rsource -j ${target}`
      const { value, warnings } = from(knock, rule)
      assert.deepEqual(value['services'], { ssh: { port: 22, ...(reject === undefined ? {} : { reject }) } })
      assert.equal(value['credentials']?.['SSHK']?.['window'], 30)
      assert.match(warnings.join('\n'), /line 3 refuses 22\/tcp/)
    })
  }

  it('what refuses all that is not accepted before is said', () => {
    for (const [lines, said] of [
      [[':INPUT DROP [0:0]', knock, check], /the policy of INPUT is DROP: accept 22\/tcp there/],
      [
        [knock, check, '-A INPUT -j REJECT --reject-with icmp-host-prohibited'],
        /line 4 refuses what is not accepted before it \(REJECT\): accept 22\/tcp before it/,
      ],
      [[knock, check, '-A INPUT -j DROP'], /line 4 refuses what is not accepted before it \(DROP\)/],
    ] as const) {
      assert.match(from(...lines).warnings.join('\n'), said)
    }
    for (const lines of [
      [':INPUT ACCEPT [0:0]', ':FORWARD DROP [0:0]', knock, check, '-A FORWARD -j DROP'],
      [knock, check, refused.replace('22', '23') + ' DROP', '-A INPUT -s 192.0.2.1 -j DROP'],
    ]) {
      assert.deepEqual(from(...lines).warnings, [])
    }
  })

  it('commands of a script, over several lines', () => {
    const { value, yaml } = imported(
      importIptPkd(
        `iptables -A INPUT -p udp -m pkd --key test --tag SSHK \\\n  -m recent --set --name pkd\niptables ${check.replace('-m', '\\\r\n -m')}\n`,
      ),
    )
    assert.deepEqual(value['services'], { ssh: { port: 22 } })
    assert.match(yaml, /# take lines 1 and 3 out of iptables/)
  })

  it('rules that limit attempts, by a list of their own, stay', () => {
    const { value, warnings, yaml } = from(
      knock,
      check,
      '-A INPUT -p tcp --dport 22 -m recent --set --name tries --rsource',
      '-A INPUT -p tcp --dport 22 -m recent --update --seconds 60 --hitcount 4 --name tries --rsource -j REJECT',
      '-A INPUT -p tcp --dport 22 -m limit --limit 5/min -j DROP',
    )
    assert.deepEqual(value['services'], { ssh: { port: 22 } })
    assert.deepEqual(warnings, [])
    assert.match(yaml, /# take lines 2 and 3 out of iptables[^]*# no part in knocks: 3 other rules/)
  })

  it('options without effect do not throw a rule away', () => {
    const rules: readonly [string, string][] = [
      ['--rcheck', '--rcheck --hitcount 1'],
      ['--dport 22', '--dport 22 --tcp-flags FIN,SYN,RST,ACK SYN'],
      ['--dport 22', '--sport 1024:65535 --dport 22'],
      ['-p tcp', '-s 0.0.0.0/0 -d 0.0.0.0/0 -p tcp'],
      ['-m recent', '-m comment --comment "let in" -m recent'],
      ['--seconds', '--reap --seconds'],
      ['-p tcp', '-4 -p tcp'],
      ['-p tcp', '-6 -p tcp'],
      ['-p tcp', '-c 0 0 -p tcp'],
    ]
    for (const [before, after] of rules) {
      const { value, warnings } = from(knock, check.replace(before, after))
      assert.deepEqual(value['services'], { ssh: { port: 22 } }, after)
      assert.deepEqual(warnings, [])
    }
    const { value, warnings } = from(knock, check.replace('--rcheck', '--rcheck --rttl'))
    assert.deepEqual(value['services'], { ssh: { port: 22 } })
    assert.match(warnings.join('\n'), /left out: line 3: --rttl/)
  })

  const leftOut: readonly [string, string[], RegExp][] = [
    ['flags of no new connection', [knock, check.replace('--dport', '--tcp-flags ALL FIN --dport')], /not NEW/],
    ['source ports of servers', [knock, check.replace('--dport', '--sport 53 --dport')], /--sport 53/],
    ['nothing of ipt_pkd', [check], /no rule uses ipt_pkd/],
    ['no list', [knock.replace('-m recent --set --name pkd --rsource ', '')], /entered into no list/],
    ['no rule for the list', [knock], /no rule accepts ports for the list pkd/],
    ['another list', [knock, check.replace('--name pkd', '--name other')], /no rule accepts ports/],
    ['no key', [knock.replace('--key test ', ''), check], /the key is empty/],
    ['a long key', [knock.replace('test', 'x'.repeat(41)), check], /41 bytes/],
    ['no protocol', [knock, check.replace('-p tcp ', '')], /does not say tcp/],
    ['no port', [knock, check.replace('--dport 22 ', '')], /names no port/],
    ['forwarded packets', [knock, check.replace('INPUT', 'FORWARD')], /to other machines/],
    ['another target', [knock, check.replace('ACCEPT', 'LOG')], /LOG and not ACCEPT/],
    ['a negated rule', [knock, check.replace('--dport', '! --dport')], /! has no meaning/],
    ['hits', [knock, check.replace('--seconds', '--hitcount 2 --seconds')], /--hitcount/],
    ['running connections', [knock, check.replace('-m recent', '-m state --state ESTABLISHED -m recent')], /not NEW/],
    ['another table in the line', [knock, check.replace(/^/, 'iptables -t nat ')], /in the table nat/],
    ['another table', ['COMMIT', '*nat', knock, check], /in the table nat/],
  ]
  for (const [name, lines, why] of leftOut) {
    it(`${name}: left out, and said`, () => {
      const { value, warnings } = from(...lines)
      assert.deepEqual(value, {})
      assert.match(warnings.join('\n'), why)
    })
  }

  it('what is limited there and not here is said', () => {
    const { value, warnings } = from(
      knock.replace('-p udp', '-i ppp+ -p udp'),
      check.replace('-p tcp', '-i eth0 -s 192.0.2.0/24 -p tcp').replace('--rcheck', '--update'),
    )
    assert.match(
      warnings.join('\n'),
      /each packet restarts the time[^]*--source 192\.0\.2\.0\/24[^]*--in-interface eth0/,
    )
    assert.deepEqual(
      Object.values(value['credentials'] ?? {}).map(one => one['interface']),
      ['ppp*'],
    )
  })

  it('rules with one tag cannot have an interface each', () => {
    const other = knock.replace(/--key \S+/, '--key another-key')
    const { value, warnings } = from(knock.replace('-p udp', '-i eth0 -p udp'), other, check)
    assert.deepEqual(
      Object.values(value['credentials'] ?? {}).map(one => one['interface']),
      [undefined, undefined],
    )
    assert.match(warnings.join('\n'), /left out: --in-interface eth0: others with its tag/)
  })

  it('a rule in a chain of its own counts wherever that is called, which is said', () => {
    const { value, warnings } = from(knock, check.replace('INPUT', 'KNOCKED'), '-A FORWARD -j KNOCKED')
    assert.deepEqual(value['credentials']?.['SSHK']?.['opens'], ['ssh'])
    assert.match(warnings.join('\n'), /line 3: .*chain KNOCKED/)
  })

  it('a mask and several ports to knock at are said', () => {
    const mask = '--mask 255.255.255.0 --rsource'
    for (const lines of [
      [knock.replace('--rsource', mask), check],
      [knock, check.replace('--rsource', mask)],
    ]) {
      assert.match(from(...lines).warnings.join('\n'), /left out: [^]*--mask 255\.255\.255\.0/)
    }
    const several = from(knock.replace('-m pkd', '-m multiport --dports 1000,2000 -m pkd'), check)
    assert.match(several.warnings.join('\n'), /its port 1000,2000 is not one port/)
  })

  it('what else changes a list is said', () => {
    const { warnings, yaml } = from(
      knock,
      check,
      '-A INPUT -p tcp --dport 7000 -m recent --set --name pkd -j DROP',
      '-A INPUT -p tcp --dport 7001 -m recent --remove --name pkd -j DROP',
      '-A INPUT -m recent --set --name other',
    )
    assert.equal(warnings.length, 2)
    const chain = '-A LIST -m recent --set --name pkd'
    const twice = from(knock.replace(/-m recent.*/, '-j LIST'), chain, chain, check)
    assert.deepEqual(twice.warnings, [])
    for (const line of [4, 5]) assert.match(warnings.join('\n'), new RegExp(`line ${line}: it changes the list pkd`))
    assert.match(yaml, /# no part in knocks: 1 other rule,/)
  })

  it('two rules for a port: the shorter time, with a comment', () => {
    const { value, warnings } = from(knock, check.replace('60', '3600'), check)
    assert.equal(value['credentials']?.['SSHK']?.['window'], 60)
    assert.match(warnings.join('\n'), /different times/)
  })

  it('hostile text stays text, and huge text comes to an end', () => {
    for (const text of hostile) {
      const quoted = `"${text.slice(0, 12).replace(/["\\]/g, '\\$&')}"`
      from(
        knock.replace('test', quoted).replace('SSHK', quoted),
        check,
        `-A ${text} -m pkd`,
        `-A INPUT -m pkd ${text} -j ${text}`,
      )
    }
    from(`-A INPUT ${'-m pkd '.repeat(100_000)}`)
    from(`${check}\n`.repeat(5000), knock.replace('pkd --rsource', 'none --rsource'))
    assert.throws(() => from(`${knock}\n`.repeat(1001)), UserError)
    assert.throws(() => from(knock, `${check}\n`.repeat(5000)), UserError)
    const chain = `${knock.replace(/-m recent.*/, '-j LIST')}\n${'-A LIST -m recent --set --name pkd\n'.repeat(10_000)}`
    assert.throws(() => from(chain, `${check}\n`.repeat(5000)), UserError)
    from(`${knock}\n`.repeat(1000).replaceAll('SSHK', 'SSHKEY'), '-A a b\n'.repeat(100_000))
  })
})

describe('import ipt_pkd.ini', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-import-'))
  const file = path.join(directory, 'hosts.yaml')
  process.once('exit', () => fs.rmSync(directory, { recursive: true, force: true }))

  function hosts(text: string) {
    const { hosts: found, notes } = importIptPkdHosts(text, '~/.ipt_pkd.ini')
    const { yaml, warnings } = printHosts(found, notes, 'A heading.', () => undefined)
    fs.writeFileSync(file, yaml)
    return { names: found.map(({ name }) => name), warnings, find: (name: string) => findHostEntry(name, file) }
  }

  it('places as they are, with their names', () => {
    const { find, warnings } = hosts(
      '[home]\nhost=h\nkey=0123\n[a b]\nhost: fd00::1\ntag=0x01\nport=4000\nkey=k;x\n[c]\nhost=h\nkey=x\nport=0\nold=0\n',
    )
    assert.deepEqual(find('home'), { type: 'pkd', host: 'h', key: '0123' })
    assert.deepEqual(find('a b'), { type: 'pkd', host: 'fd00::1', tag: '0x01', port: 4000, key: 'k;x' })
    assert.deepEqual(find('c'), { type: 'pkd', host: 'h', key: 'x' })
    assert.deepEqual(warnings, [])
  })

  const leftOut: readonly [string, RegExp][] = [
    ['[a]\nkey=x', /\[a\]: it has no host/],
    ['[a]\nhost=h\nold=1', /old format/],
    ['[a]\nhost=h\nkey=0xzz', /not hex/],
    ['[a]\nhost=h\ntag=TOOLONG', /tag is 7 bytes/],
    ['[a\x07]\nhost=h', /cannot be typed/],
  ]
  for (const [text, why] of leftOut) {
    it(`left out: ${JSON.stringify(text)}`, () => {
      const { names, warnings } = hosts(text)
      assert.deepEqual(names, [])
      assert.match(warnings.join(), why)
    })
  }

  it('what cannot be carried over is said', () => {
    const { find, warnings } = hosts('[a]\nhost=h\nport=70000\nfoo=1')
    assert.deepEqual(find('a'), { type: 'pkd', host: 'h' })
    assert.match(warnings.join('\n'), /no key[^]*left out: foo[^]*left out: port = 70000/)
  })

  it('what is no such file is one error', () => {
    assert.throws(() => hosts('[a]\nkey secret'), /~\/\.ipt_pkd\.ini:2: expected/)
    assert.throws(() => hosts(Array.from({ length: 1001 }, (_, i) => `[p${i}]\nhost=h\nkey=x\n`).join('')), UserError)
  })

  it('hostile text stays text', () => {
    for (const text of hostile.filter(one => !/[\ud800\x85\u2028]/.test(one))) {
      const value = text.slice(0, 40).trim()
      if (value === '0x1f') continue
      const { find, names } = hosts(`[${value}]\nhost=${value}\nkey=${value}\n`)
      for (const name of names) {
        assert.equal(name, value)
        const place = find(name)
        assert.equal(place?.host, value)
        assert.equal(place.type === 'pkd' && place.key, value)
      }
    }
  })
})
