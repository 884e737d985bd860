/** Whatever an input holds, there is one clear error or a configuration that pkctl takes. */
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { ImportResult } from '../../../src/import/draft-entries.js'
import { importFwknop } from '../../../src/import/fwknop.js'
import { importIptPkd } from '../../../src/import/ipt-pkd-rules.js'
import { importKnockdHelper } from '../../../src/import/knockd-helper.js'
import { importKnockd } from '../../../src/import/knockd.js'
import { importNfPkd } from '../../../src/import/nf-pkd.js'
import { importNfqknockd } from '../../../src/import/nfqknockd.js'
import { UserError } from '../../../src/util/user-error.js'
import { hostile, imported } from './import-support.js'

const odd = fc.oneof(fc.constantFrom(...hostile), fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }))
const port = fc.oneof(
  fc.integer({ min: -1, max: 65_540 }),
  fc.constantFrom('22', '80', '6000:6010', '6005', 'ssh', '1,2', ''),
)
const oneOf = (...words: string[]) => fc.constantFrom(...words)
const oddOr = (...words: string[]) => fc.oneof({ weight: 6, arbitrary: oneOf(...words) }, { weight: 1, arbitrary: odd })
const line = (...parts: fc.Arbitrary<string | number>[]) => fc.tuple(...parts).map(words => words.join(' '))
const text = (...lines: fc.Arbitrary<string>[]) =>
  fc.array(fc.oneof(...lines), { maxLength: 25 }).map(all => all.join('\n'))

function survives(name: string, input: fc.Arbitrary<string>, read: (text: string) => ImportResult): void {
  it(name, () => {
    fc.assert(
      fc.property(input, given => {
        try {
          imported(read(given))
        } catch (error) {
          if (!(error instanceof UserError)) throw error
        }
      }),
      { numRuns: 300 },
    )
  })
}

describe('whatever there is in', () => {
  const rule = line(
    oneOf('iptables', '/sbin/ip6tables', 'sudo iptables'),
    oddOr('-A INPUT', '-I INPUT 1', '-D INPUT', '-A FORWARD'),
    oddOr('-s %IP%', ''),
    oddOr('-p tcp', '-p udp', ''),
    oneOf('--dport', '-m multiport --dports', '--sport'),
    port,
    oddOr('-j ACCEPT', '-j DROP', '-i eth0 -j ACCEPT'),
  )
  const all = fc.constantFrom(
    'iptables -I INPUT -s %IP% -j ACCEPT',
    'iptables -D INPUT -s %IP% -j ACCEPT',
    'iptables -A INPUT -p udp -s %IP% -j ACCEPT',
    'ufw allow from %IP%',
    'iptables -I KNOCK -s %IP% -j ACCEPT',
    'iptables -D KNOCK -s %IP% -j ACCEPT',
  )
  const single = fc.oneof(
    rule,
    all,
    line(oneOf('ufw allow from %IP% to any port', 'ufw delete allow from %IP% to any port'), port),
    line(oneOf('pktables add %IP% --service', 'pktables delete %IP% --service', '/bin/echo'), oddOr('ssh', 'a b')),
    oneOf('sleep 5', 'logger x', '# y'),
    odd,
  )
  const operator = oneOf('; ', ' && ', ' || ', ' | ', ' & ', ';')
  const command = fc
    .array(fc.tuple(single, operator), { minLength: 1, maxLength: 4 })
    .map(parts => parts.map(([words, between], i) => (i < parts.length - 1 ? words + between : words)).join(''))
  const key = oneOf('command', 'stop_command', 'start_command_6', 'stop_command_6', 'STOP_COMMAND', 'LogFile', 'foo')
  survives(
    'knockd.conf',
    text(
      line(fc.constant('['), oddOr('ssh', 'options', 'a'), fc.constant(']')).map(name => name.replaceAll(' ', '')),
      line(key, fc.constant('='), command),
      line(fc.constant('sequence ='), oddOr('1,2', '5', '7:udp,3')),
      line(
        oneOf('seq_timeout =', 'cmd_timeout =', 'target =', 'tcpflags ='),
        oddOr('1', '0', 'syn', '192.0.2.1', '::1'),
      ),
      odd,
    ),
    given => importKnockd(given, { readFile: () => Buffer.from('') }),
  )

  const value = fc.oneof(
    odd,
    port,
    fc.integer(),
    fc.boolean(),
    fc.constantFrom(null, 'tcp', 'udp', 'any', 'reset', 'drop'),
  )
  const action = fc
    .tuple(
      fc.dictionary(
        oneOf('name', 'skew', 'window', 'reject', 'protocol', 'port', 'action', 'ext-user', 'obo', 'x'),
        value,
      ),
      fc.record(
        { key: oddOr('a', 'b', '0x61'), tag: oddOr('A', 'PKD0'), port: port, protocol: oddOr('tcp', 'any') },
        { requiredKeys: ['key'] },
      ),
    )
    .map(parts => ({ ...parts[0], ...parts[1] }))
  survives(
    'action files',
    fc.array(action).map(all => JSON.stringify(all)),
    given => importNfPkd([{ file: 'a.json', text: given }]),
  )
  survives(
    'files that are none',
    fc.array(oneOf('{', '}', '[', ']', ',', ':', '"a"', "'b'", 'c', '1', '\n', '//', '#')).map(all => all.join('')),
    given => importNfPkd([{ file: 'a.json', text: given }]),
  )

  const flag = oneOf('-a', '-b', '-p', '-P', '-t', '-o', '-c', '-d', '-q', '-m', '-f', '-v', '-p22', '-ox')
  survives(
    'arguments of nfqknockd',
    fc.array(fc.oneof(flag, port.map(String), oddOr('md5', 'secret'))).map(all => all.join('\n')),
    given => importNfqknockd(given.split('\n')),
  )

  survives(
    'scripts',
    text(
      line(
        oddOr('pktables', '$P', 'x'),
        oneOf('init', 'add', 'remove'),
        oddOr('a', 'b', '192.0.2.1'),
        oneOf('--port', '--service', '--log --port'),
        port,
        oddOr('--syn', '--udp', '--accept', '--log-limit 5/m', '||', ';;'),
      ),
      odd,
    ),
    given => importKnockdHelper(given),
  )

  survives(
    'access.conf',
    text(
      line(oneOf('SOURCE', 'DESTINATION'), oddOr('ANY', '192.0.2.0/24')),
      line(oneOf('KEY', 'KEY_BASE64', 'HMAC_KEY', 'HMAC_KEY_BASE64'), oddOr('a', 'YQ==', '0x1', '__CHANGEME__')),
      line(oneOf('OPEN_PORTS', 'RESTRICT_PORTS'), oddOr('tcp/22', 'tcp/22,udp/53', 'any')),
      line(oneOf('FW_ACCESS_TIMEOUT', 'MAX_FW_TIMEOUT', 'ACCESS_EXPIRE_EPOCH'), port),
      line(oneOf('REQUIRE_USERNAME', 'ACCESS_EXPIRE', 'REQUIRE_SOURCE', 'GPG_DECRYPT_ID', '%include'), odd),
      odd,
    ),
    given => importFwknop(given, given),
  )

  const list = oddOr('pkd', 'two')
  survives(
    'rules',
    text(
      line(
        fc.constant('-A INPUT -p udp -m pkd --key'),
        oddOr('k', '"k l"', '0x01'),
        fc.constant('--window'),
        oddOr('0', '5'),
        fc.constant('-m recent --set --name'),
        list,
        oddOr('-j DROP', '--tag T', '--tag 0x010203'),
      ),
      line(
        fc.constant('-A INPUT -p'),
        oneOf('tcp', 'udp', 'sctp', 'icmp'),
        fc.constant('--dport'),
        port,
        oneOf(
          '-m recent --rcheck --name',
          '-m recent ! --update --name',
          '-m recent --rttl --rcheck --hitcount 1 --name',
        ),
        list,
        oddOr('--seconds 5', '--seconds 0', ''),
        oneOf('-j ACCEPT', '-j DROP', '-j REJECT --reject-with tcp-reset'),
      ),
      line(
        oneOf('-A INPUT -p tcp --dport 22', '-A INPUT', ':INPUT'),
        oneOf('-j DROP', '-j REJECT', 'DROP [0:0]', '\\'),
      ),
      odd,
    ),
    given => importIptPkd(given),
  )
})
