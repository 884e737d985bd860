/**
 * knockd.conf as people write it. For each: what opens, closes and is run; whether each of its lines is in the
 * configuration or named in a note; the exit status; and whether the configuration is valid.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { after, describe, it } from 'node:test'
import { parse } from 'yaml'
import { main } from '../../../src/cli/program.js'
import { load } from '../config/config-support.js'

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-knockd-variants-'))
after(() => fs.rmSync(directory, { recursive: true, force: true }))
const once = path.join(directory, 'once')
fs.writeFileSync(once, ' 7000,8000,9000\n 9000,7000,8000\n')

interface Variant {
  readonly name: string
  readonly conf: string
  /** By section: `opens ssh 10`, `closes ssh`, `runs` or nothing, each with `+ runs` where a command is run besides. */
  readonly sections: Readonly<Record<string, string>>
  readonly services?: Readonly<Record<string, unknown>>
  /** What is said on stderr. */
  readonly said?: readonly RegExp[]
  readonly status?: 1
}

const ipt = (action: string, port = '22') => `/sbin/iptables -${action} INPUT -s %IP% -p tcp --dport ${port} -j ACCEPT`
const ssh = { ssh: { port: 22 } }

const variants: readonly Variant[] = [
  {
    name: 'the file that Debian installs',
    conf: `[options]
	UseSyslog

[openSSH]
	sequence    = 7000,8000,9000
	seq_timeout = 5
	command     = ${ipt('A')}
	tcpflags    = syn

[closeSSH]
	sequence    = 9000,8000,7000
	seq_timeout = 5
	command     = ${ipt('D')}
	tcpflags    = syn

[openHTTPS]
	sequence    = 12345,54321,24680,13579
	seq_timeout = 5
	command     = /usr/local/sbin/knock_add -i -c INPUT -p tcp -d 443 -f %IP%
	tcpflags    = syn
`,
    sections: { openSSH: 'opens ssh unlimited', closeSSH: 'closes ssh', openHTTPS: 'runs' },
    services: ssh,
    said: [/openSSH: there is no stop_command/],
  },
  {
    name: 'the second example of the manual, over UDP and TCP',
    conf: `[options]\nlogfile = /var/log/knockd.log\n[opencloseSSH]\nsequence = 2222:udp,3333:tcp,4444:udp\nseq_timeout = 15\ntcpflags = syn\nstart_command = /usr/sbin/iptables -A INPUT -s %IP% -p tcp --syn --dport 22 -j ACCEPT\ncmd_timeout = 10\nstop_command = /usr/sbin/iptables -D INPUT -s %IP% -p tcp --syn --dport 22 -j ACCEPT\n`,
    sections: { opencloseSSH: 'opens ssh 10' },
    services: ssh,
    said: [/LogFile = \/var\/log\/knockd\.log/],
  },
  {
    name: 'the one of the manual for a server behind a router, with a target',
    conf: `[opencloseSMTP]\none_time_sequences = ${once}\nseq_timeout = 15\ntcpflags = fin,!ack\ntarget = 192.0.2.7\nstart_command = /usr/sbin/iptables -A FORWARD -s %IP% -p tcp --dport 25 -j ACCEPT\ncmd_timeout = 5\nstop_command = /usr/sbin/iptables -D FORWARD -s %IP% -p tcp --dport 25 -j ACCEPT\n`,
    sections: { opencloseSMTP: 'runs' },
    said: [/TCPFlags = fin,!ack: no client sends them/, /must be able to write/, /not plain which port they open/],
  },
  {
    name: 'ufw, inserted and taken back',
    conf: `[options]\nUseSyslog\nInterface = ens3\n[SSH]\nsequence = 5438,3428,3280,4479\nseq_timeout = 15\ntcpflags = syn\nstart_command = ufw insert 1 allow from %IP% to any port 22\ncmd_timeout = 20\nstop_command = ufw delete allow from %IP% to any port 22\n`,
    sections: { SSH: 'opens ssh,udp-22 20' },
    said: [/Interface = ens3/],
  },
  {
    name: 'ufw by its path, an interface, a comment, and one section for each direction',
    conf: `[openSSH]\nsequence = 571,290,911\nseq_timeout = 5\ncommand = /usr/sbin/ufw insert 1 allow in on eth0 from %IP% to any port 22 proto tcp comment 'knockd'\ntcpflags = syn\n[closeSSH]\nsequence = 911,290,571\nseq_timeout = 5\ncommand = /usr/sbin/ufw --force delete allow in on eth0 from %IP% to any port 22 proto tcp\ntcpflags = syn\n`,
    sections: { openSSH: 'opens ssh unlimited', closeSSH: 'closes ssh' },
    services: ssh,
    said: [/left out: interface eth0/],
  },
  {
    name: 'ufw for everything of an address',
    conf: `[all]\nsequence = 1111,3333,2222\nstart_command = /usr/sbin/ufw allow from %IP%\nstop_command = /usr/sbin/ufw delete allow from %IP%\n[web]\nsequence=1,3,2\ncommand=ufw allow proto tcp from %IP% to any port 443\n`,
    sections: { all: 'opens https 10 + runs', web: 'opens https unlimited' },
    services: { https: { port: 443 } },
    said: [/all: it opens all ports there; here it opens every service that the others open \(https\)/],
  },
  {
    name: 'firewall-cmd with a rich rule and its removal',
    conf: `[options]\n  logfile = /var/log/knockd.log\n  interface = eth0\n[opencloseSSH]\n  sequence = 2222:tcp,3333:tcp,4444:tcp\n  seq_timeout = 30\n  tcpflags = syn\n  start_command = firewall-cmd --zone=public --add-rich-rule 'rule family="ipv4" source address="%IP%" service name="ssh" accept'\n  cmd_timeout = 60\n  stop_command = firewall-cmd --zone=public --remove-rich-rule 'rule family="ipv4" source address="%IP%" service name="ssh" accept'\n`,
    sections: { opencloseSSH: 'opens ssh 60' },
    services: ssh,
    said: [/zone public/, /LogFile/, /Interface = eth0/],
  },
  {
    name: 'firewall-cmd, for good and with a reload',
    conf: `[x]\nsequence=3,1,2\nstart_command = /usr/bin/firewall-cmd --permanent --add-rich-rule='rule family=ipv4 source address=%IP% port port=22 protocol=tcp accept' && firewall-cmd --reload\n`,
    sections: { x: 'runs' },
    said: [/run as they are/],
  },
  {
    name: 'firewall-cmd, with its own time',
    conf: `[x]\nsequence=3,1,2\ncommand = firewall-cmd --timeout=5m --add-rich-rule='rule family=ipv4 source address=%IP%/32 port port=2222 protocol=tcp accept'\n`,
    sections: { x: 'opens tcp-2222 300' },
  },
  {
    name: 'nft, whose rule can only be removed by its handle',
    conf: `[open]\nsequence=4000,5000,4500\nstart_command = /usr/sbin/nft insert rule inet filter input ip saddr %IP% tcp dport 22 counter accept comment "knock"\ncmd_timeout = 60\nstop_command = /usr/sbin/nft delete rule inet filter input handle $(/usr/sbin/nft -a list chain inet filter input | grep %IP% | awk '{print $NF}')\n`,
    sections: { open: 'runs' },
    said: [/stop_command is not the counterpart/],
  },
  {
    name: 'nft with a set whose elements time out',
    conf: `[open]\nsequence=4000,5000,4500\ncommand = nft add element inet filter knocked { %IP% timeout 1h }\n`,
    sections: { open: 'runs' },
    said: [/not plain which port they open/],
  },
  {
    name: 'ipset',
    conf: `[open]\nsequence=4000,5000,4500\nstart_command = /sbin/ipset -exist add knock %IP% timeout 3600\n`,
    sections: { open: 'runs' },
    said: [/not plain which port they open/],
  },
  {
    name: 'services started and stopped by systemd, and sudo',
    conf: `[vpn]\nsequence=4000,5000,4500\nstart_command = /usr/bin/sudo /bin/systemctl start openvpn@server\ncmd_timeout = 3600\nstop_command = /usr/bin/sudo /bin/systemctl stop openvpn@server\n[reboot]\nsequence=1:udp,3:udp,2:udp\ncommand=/sbin/shutdown -r now\n`,
    sections: { vpn: 'runs', reboot: 'runs' },
  },
  {
    name: 'comments everywhere, odd spaces, Windows line ends, letters of any size',
    conf: `# mine\r\n[Options]\r\n  USESYSLOG  \r\n; old style\r\n\r\n[ssh]   \r\n\tSequence=7000 , 8000:UDP ,9000\r\n   SEQ_TIMEOUT   =10 # ten\r\nTcpFlags = SYN\r\nStart_Command=${ipt('I')}   # let in\r\n# Start_Command=/bin/false\r\nCmd_Timeout = 30\r\nStop_Command   = ${ipt('D')}\r\n`,
    sections: { ssh: 'opens ssh 30' },
    services: ssh,
    said: [/line 4: neither .*; old style/],
  },
  {
    name: 'both versions of IP in commands of their own',
    conf: `[ssh]\nsequence=1,3,2\nstart_command = ${ipt('A')}\nstart_command_6 = /sbin/ip6tables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\nstop_command = ${ipt('D')}\nstop_command_6 = /sbin/ip6tables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n`,
    sections: { ssh: 'opens ssh 10' },
    services: ssh,
  },
  {
    name: 'IPv6 shut out on purpose',
    conf: `[ssh]\nsequence=1,3,2\nstart_command = ${ipt('A')}\nstart_command_6 =\nstop_command = ${ipt('D')}\nstop_command_6 =\n`,
    sections: { ssh: 'runs' },
    said: [/IPv6 has other commands than IPv4/],
  },
  {
    name: 'several rules and a message in a line',
    conf: `[web]\nsequence=1,3,2\nstart_command = ${ipt('A', '80')} && ${ipt('A', '443')} && /usr/bin/logger -t knockd "in %IP%"\ncmd_timeout=300\nstop_command = ${ipt('D', '80')}; ${ipt('D', '443')}\n`,
    sections: { web: 'opens http,https 300 + runs' },
    services: { http: { port: 80 }, https: { port: 443 } },
  },
  {
    name: 'multiport, a state, a lock that is waited for',
    conf: `[web]\nsequence=1,3,2\nstart_command = iptables -w 5 -I INPUT 1 -s %IP% -p tcp -m multiport --dports 80,443,8000:8010 -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT\nstop_command = iptables -w 5 -D INPUT -s %IP% -p tcp -m multiport --dports 80,443,8000:8010 -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT\n`,
    sections: { web: 'opens tcp-80-and-more 10' },
    services: { 'tcp-80-and-more': { port: [80, 443, '8000-8010'] } },
  },
  {
    name: 'a rule that says its flags as iptables-save prints them',
    conf: `[s]\nsequence=1,3,2\ncommand = iptables -v -A INPUT -s %IP%/32 -p tcp -m tcp --dport 22 --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT\n`,
    sections: { s: 'opens ssh unlimited' },
    services: ssh,
  },
  {
    name: 'a rule of nat, and one that drops',
    conf: `[fwd]\nsequence=1,3,2\nstart_command = iptables -t nat -A PREROUTING -s %IP% -p tcp --dport 8080 -j DNAT --to 10.0.0.2:80\nstop_command = iptables -t nat -D PREROUTING -s %IP% -p tcp --dport 8080 -j DNAT --to 10.0.0.2:80\n[ban]\nsequence=22,23,21\ncommand=iptables -I INPUT -s %IP% -j DROP\n`,
    sections: { fwd: 'runs', ban: 'runs' },
    said: [/fwd: its commands are run as they are/, /ban: its commands are run as they are/],
  },
  {
    name: 'a pause and the removal in one command, in the background or not',
    conf: `[a]\nsequence=1,3,2\ncommand = ${ipt('I')}; sleep 15; ${ipt('D')}\n[b]\nsequence=4,6,5\ncommand = (${ipt('I', '80')}; sleep 15; ${ipt('D', '80')}) &\n`,
    sections: { a: 'opens ssh 15', b: 'opens http 15' },
    services: { ssh: { port: 22 }, http: { port: 80 } },
  },
  {
    name: 'pktables, as its own examples',
    conf: `[VPN]\nsequence=29336,33115\ntimeout=10\ntcpflags=syn\nstart_command=/usr/local/bin/pktables add %IP% --service isakmp; /usr/local/bin/pktables add %IP% --service nat-t\ncmd_timeout=30\nstop_command=/usr/local/bin/pktables delete %IP% --service isakmp; /usr/local/bin/pktables delete %IP% --service nat-t\n`,
    sections: { VPN: 'opens isakmp,nat-t 30' },
  },
  {
    name: 'scripts of one’s own, with redirections and mail',
    conf: `[notify]\nsequence=1,3,2\ncommand = /root/knock.sh %IP% >> /var/log/knock.log 2>&1\n[mail]\nsequence=4,6,5\ncommand = echo "%IP% knocked" | mail -s knock root\n`,
    sections: { notify: 'runs', mail: 'runs' },
  },
  {
    name: 'a hosts.allow that is written to, and a wake-up call',
    conf: `[allow]\nsequence=1,3,2\nstart_command = echo "sshd: %IP%" >> /etc/hosts.allow\nstop_command = sed -i '/%IP%/d' /etc/hosts.allow\n[wake]\nsequence=9:udp,7:udp\ncommand=/usr/bin/wakeonlan 00:11:22:33:44:55\n`,
    sections: { allow: 'runs', wake: 'runs' },
  },
  {
    name: 'a section that is half written beside one that is whole',
    conf: `[options]\nPidFile = /var/run/knockd.pid\n[half]\nsequence = 7000\n[whole]\nsequence = 7000,9000,8000\ncommand = ${ipt('A')}\nfrobnicate = 1\n`,
    sections: { whole: 'opens ssh unlimited' },
    services: ssh,
    said: [/section 'half': it has no command/, /left out: frobnicate/],
  },
  {
    name: 'a section whose ports cannot be knocked at, and nothing else',
    conf: '[x]\nsequence = seventy,eighty\ncommand = /bin/true\n',
    sections: {},
    said: [/section 'x': its sequence cannot be used/, /nothing in .* could be imported/],
    status: 1,
  },
  {
    name: 'several interfaces, which knockd does not have',
    conf: `[options]\nInterface = eth0\nInterface = wlan0\n[ssh]\nsequence=1,3,2\nstart_command=/sbin/iptables -I INPUT -i eth0 -s %IP% -p tcp --dport 22 -j ACCEPT\nstop_command=/sbin/iptables -D INPUT -i eth0 -s %IP% -p tcp --dport 22 -j ACCEPT\n`,
    sections: { ssh: 'opens ssh 10' },
    services: ssh,
    said: [/Interface is given twice/, /Interface = wlan0/, /left out: interface eth0/],
  },
  {
    name: 'options alone',
    conf: '[options]\nUseSyslog\nInterface = eth1\n',
    sections: {},
    said: [/nothing in .* could be imported/],
    status: 1,
  },
]

interface Entry extends Record<string, unknown> {
  readonly opens?: readonly string[]
  readonly closes?: readonly string[]
}

/** In the words of the table. */
function effectOf(entry: Entry): string {
  const runs = ['on-open', 'on-close', 'on-expiry'].some(option => option in entry)
  const { opens, closes } = entry
  if (opens) return `opens ${opens.join()} ${String(entry['window'])}${runs ? ' + runs' : ''}`
  if (closes) return `closes ${closes.join()}${runs ? ' + runs' : ''}`
  return runs ? 'runs' : 'nothing'
}

/** Lines of a section, without those that are empty or comments. */
function linesOf(conf: string): { section: string; key: string; value: string }[] {
  let section = ''
  return conf.split(/\r?\n/).flatMap(raw => {
    const line = raw.trim()
    if (line === '' || /^[#;]/.test(line)) return []
    if (line.startsWith('[')) {
      section = line.slice(1, -1)
      return []
    }
    const key = line.split('=')[0] ?? ''
    return [{ section, key: key.trim().toLowerCase(), value: line.slice(key.length + 1).trim() }]
  })
}

/** The options that a line of a section becomes, where it is not left out. */
const optionsOf: Readonly<Record<string, readonly string[]>> = {
  sequence: ['sequence'],
  one_time_sequences: ['sequences-file'],
  seq_timeout: ['timeout'],
  timeout: ['timeout'],
  tcpflags: ['tcp-flags'],
  target: ['target'],
  cmd_timeout: ['window'],
  command: ['opens', 'closes', 'on-open'],
  start_command: ['opens', 'closes', 'on-open'],
  start_command_6: ['opens', 'on-open'],
  stop_command: ['window', 'on-expiry'],
  stop_command_6: ['window', 'on-expiry'],
}

describe('knockd.conf as people write it', () => {
  assert.ok(variants.length >= 20)
  for (const [i, { name, conf, sections, services, said = [], status = 0 }] of variants.entries()) {
    it(name, async () => {
      const file = path.join(directory, `${i}.conf`)
      fs.writeFileSync(file, conf)
      const out: string[] = []
      const lines: string[] = []
      const tell = (text: string) => void lines.push(text)
      // The status that it returns is that of the process, which is another one after a test that failed.
      const before = process.exitCode
      process.exitCode = 0
      const exit = await main(['import', 'knockd', file], {
        out: text => void out.push(text),
        error: tell,
        hint: tell,
        warn: tell,
        strong: String,
        errorLine: () => undefined,
        difference: () => undefined,
      })
      process.exitCode = before
      assert.equal(exit, status, lines.join('\n'))
      const yaml = out.join('\n')
      const value = (parse(yaml) ?? {}) as Record<string, Record<string, Entry>>
      const credentials = value['credentials'] ?? {}
      const found = Object.fromEntries(
        Object.entries(credentials).map(([section, entry]) => [section, effectOf(entry)]),
      )
      assert.deepEqual(found, sections)
      if (services) assert.deepEqual(value['services'], services)
      for (const one of said) assert.match(lines.join('\n'), one)
      if (status === 1) return
      const notes = `${lines.join('\n')}\n${yaml.replace(/\n *#/g, '')}`
      for (const { section, key, value: text } of linesOf(conf)) {
        const entry = credentials[section]
        // What holds for knockd as a whole is in each entry.
        const kept = section === 'options' && Object.values(credentials).every(one => one[key] === text)
        const isThere = kept || (optionsOf[key]?.some(option => entry && option in entry) ?? false)
        const isSaid = new RegExp(`left out: [^]*(${key}|section '${section}')`, 'i').test(notes)
        assert.ok(isThere || isSaid || (key === 'usesyslog' && 'log' in value), `${section}: ${key} = ${text}`)
      }
      load({ 'pkctl.yaml': yaml, [path.relative('/etc/pkctl', once)]: fs.readFileSync(once, 'utf8') })
    })
  }
})
