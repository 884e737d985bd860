/** Configurations of other programs: one clear error, or a configuration that pkctl takes. */
import { loadConfig } from '../../../src/config/load.js'
import type { ImportResult } from '../../../src/import/draft-entries.js'
import { importFwknop } from '../../../src/import/fwknop.js'
import { importIptPkdHosts } from '../../../src/import/ipt-pkd-client.js'
import { importIptPkd } from '../../../src/import/ipt-pkd-rules.js'
import { importKnockdHelper } from '../../../src/import/knockd-helper.js'
import { importKnockd } from '../../../src/import/knockd.js'
import { importNfPkd } from '../../../src/import/nf-pkd.js'
import { importNfqknockd } from '../../../src/import/nfqknockd.js'
import { printConfig, printHosts } from '../../../src/import/print-yaml.js'
import { decodeText } from '../../../src/util/file-text.js'
import { UserError } from '../../../src/util/user-error.js'
import { fakeReader, main } from '../../unit/config/config-support.js'
import { isClear, orRefused } from '../properties.js'
import type { Target } from '../target.js'
import { readsHosts } from './configuration.js'

/** The text of a file as `pkctl import` passes it on: src/import/read-input.ts refuses the rest. */
const textOf = (input: Buffer) => {
  const text = decodeText(input)
  return text === undefined || text.includes('\0') ? undefined : text
}

function importer(
  name: string,
  seeds: readonly string[],
  words: readonly string[],
  read: (text: string) => ImportResult,
): Target {
  return {
    name: `import-${name}`,
    seeds,
    words,
    runs: 400,
    run(input) {
      const text = textOf(input)
      if (text === undefined) return
      const printed = orRefused(() => printConfig(read(text), 'A heading.', () => undefined), UserError)
      if (printed === undefined) return
      for (const warning of printed.warnings) isClear(warning)
      // Files of sequences are those of the machine that was imported from.
      const reader = fakeReader({ 'pkctl.yaml': printed.yaml })
      const list = fakeReader({ 'pkctl.yaml': ' 1,2,3\n' })
      loadConfig(main, {
        ...reader,
        readNamed: () => list.readNamed(main, Infinity),
        canWrite: () => undefined,
      })
    },
  }
}

const knockdConf = `[options]
	UseSyslog
	Interface = eth0
[openSSH]
	sequence    = 7000,8000:udp,9000
	seq_timeout = 5
	tcpflags    = syn,!ack
	command     = /sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
[timed]
	one_time_sequences = /etc/knockd/one
	start_command = ufw allow from %IP% to any port 22 && /bin/echo "%IP%"
	cmd_timeout = 10
	stop_command = /usr/sbin/iptables -D INPUT -s %IP% -p tcp -m multiport --dports 22,80 -j ACCEPT
	target = 192.0.2.1
`
const actions = `[ // nf-pkd
 { "name": "ssh", "key": "secret", "tag": "SSHK", "protocol": "tcp", "port": 22, "skew": 10, "window": 60 },
 { name: 'all', key: "0x0102", action: "/bin/true %IP%", "ext-user": "nobody", obo: true, },
]`
const script = `#!/bin/sh
. /etc/default/x
P=/usr/sbin/pktables
pktables init ssh --port 22 --syn --log --log-prefix "a b: " --log-limit 3/h || exit 1
pktables init dns --udp --port 6000:6010 >/dev/null 2>&1
pktables add 192.0.2.9/24 --service ssh # here
case $1 in start) pktables init s --port http --accept;; esac
cat <<E
pktables remove ssh
E
`
const rules = `*filter
:INPUT DROP [0:0]
-A INPUT -p udp -m pkd --key "test k" --tag SSHK --window 10 -m recent --set --name pkd --rsource -j DROP
-A INPUT -p tcp -m tcp --dport 22 -m state --state NEW -m recent --rcheck --seconds 60 --name pkd --rsource -j ACCEPT
-A INPUT -p tcp -m multiport --dports 80,8000:8010 -m recent ! --rcheck --name pkd -j REJECT --reject-with tcp-reset
-A KNOCK -m recent --set --name pkd --rsource -j DROP
COMMIT
`
const access = `# fwknop
SOURCE              ANY;
KEY_BASE64          DwpZv8Hn26OzcK75UPY30TBpni8RhoTYr5n1uWbjLck=
HMAC_KEY            another secret
HMAC_DIGEST_TYPE    SHA512
OPEN_PORTS          tcp/22, udp/1194
RESTRICT_PORTS      tcp/23
FW_ACCESS_TIMEOUT   60
MAX_FW_TIMEOUT      300
REQUIRE_USERNAME    alice
REQUIRE_SOURCE_ADDRESS Y
ACCESS_EXPIRE       12/31/2037
SOURCE              192.0.2.0/24
KEY                 0x31
HMAC_KEY            base64:YQ==
ENABLE_CMD_EXEC     Y
GPG_DECRYPT_ID      ABCD
`
const fwknopd = 'PCAP_INTF eth0;\nPCAP_FILTER udp port 62201;\nMAX_SPA_PACKET_AGE 120;\nENABLE_UDP_SERVER N;\n'
const ini = '[home]\nhost = 192.0.2.1\nkey = secret ; not this\ntag: PKD0\nport = 0\n[DEFAULT]\nold=no\n'
const flags = [
  '-a',
  '1000',
  '-b',
  '60000',
  '-o',
  'secret',
  '-c',
  'closing',
  '-p',
  '22',
  '-P80',
  '-t',
  '5',
  '-d',
  'md5',
  '-f',
]

export const importTargets: readonly Target[] = [
  importer(
    'knockd',
    [knockdConf],
    ['[', ']', '%IP%', 'sequence', 'command', ' && ', ';', '-j ACCEPT', '--dport', 'tcpflags'],
    text => importKnockd(text, { readFile: () => Buffer.from(' 1,2,3\n#4,5\n') }),
  ),
  importer(
    'nf-pkd',
    [actions, '[]', '[{"name":"a","key":"b","port":"6000-6010"}]'],
    ['{', '}', '"', "'", '\\u0000', '\\', '//', '/*'],
    text => importNfPkd([{ file: 'a.json', text }]),
  ),
  importer(
    'knockd-helper',
    [script],
    ['pktables', 'init', '--port', '<<', '\\\n', '$(', '`', '|', '&&', ';;'],
    importKnockdHelper,
  ),
  importer(
    'fwknop',
    [access],
    [
      'SOURCE ANY',
      'KEY ',
      '_BASE64',
      '__CHANGEME__',
      'tcp/',
      ';',
      '%include_keys',
      'FORCE_NAT',
      'ACCESS_EXPIRE_EPOCH 1',
    ],
    text => importFwknop(text),
  ),
  importer('fwknopd.conf', [fwknopd], ['Y', 'N', ';', 'udp port', 'UDPSERV_PORT', 'PCAP_INTF'], text =>
    importFwknop(access, text),
  ),
  importer(
    'ipt_pkd',
    [rules],
    ['-A', '-m pkd', '--key', '--name', '-j', '!', '--rcheck', '--dports', '"', '\\"'],
    importIptPkd,
  ),
  importer('nfqknockd', [flags.join('\n'), '-osecret\n-p22'], ['-o', '-p', '-P', '-t', '-d', '\n', 'sha512'], text =>
    importNfqknockd(text.split('\n')),
  ),
  {
    name: 'import-ipt_pkd.ini',
    seeds: [ini],
    words: ['[', ']', '=', ':', ';', '#', 'host', 'key', '%('],
    run(input) {
      const text = textOf(input)
      if (text === undefined) return
      const read = () => {
        const { hosts, notes } = importIptPkdHosts(text, 'x.ini')
        return { names: hosts.map(({ name }) => name), ...printHosts(hosts, notes, 'A heading.', () => undefined) }
      }
      const printed = orRefused(read, UserError)
      if (printed === undefined) return
      for (const warning of printed.warnings) isClear(warning)
      // What was imported is what pkctl knock reads.
      readsHosts(printed.yaml, printed.names)
    },
  },
]
