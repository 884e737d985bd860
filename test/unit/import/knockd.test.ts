import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { importKnockd } from '../../../src/import/knockd.js'
import { UserError } from '../../../src/util/user-error.js'
import { hostile, imported } from './import-support.js'

const oneTime = '/etc/pkctl/once'
const reader = {
  readFile: (file: string) => {
    if (file === oneTime) return Buffer.from(' 1,2,3\n')
    throw Object.assign(new Error('no'), { code: 'ENOENT' })
  },
}
const from = (text: string) => imported(importKnockd(text, reader), { once: ' 1,2,3\n' })
const door = (...lines: string[]) => from(`[door]\nsequence = 7000,9000,8000\n${lines.join('\n')}\n`)
const trigger = (line: string) => door(`command = ${line}`).value['credentials']?.['door']?.['on-open']

describe('import knockd', () => {
  const opening: readonly [string, string][] = [
    ['iptables', '/sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT'],
    ['iptables, inserted', 'iptables -I INPUT 1 -s %IP% -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT'],
    [
      'iptables with a lock, in the long form',
      'iptables -w 5 --append INPUT --source=%IP%/32 --protocol tcp --destination-port 22 --jump ACCEPT',
    ],
    ['iptables and a name of a port', '/usr/sbin/iptables-nft -A INPUT -s %IP% -p tcp --dport ssh -j ACCEPT'],
    [
      'iptables by sudo, with a comment',
      'sudo iptables -A INPUT -s %IP% -p tcp --dport 22 -m comment --comment "let in" -j ACCEPT',
    ],
    ['ip6tables', 'ip6tables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT'],
    ['nft', 'nft add rule inet filter input ip saddr %IP% tcp dport 22 accept'],
    ['nft, quoted', "/usr/sbin/nft 'insert rule ip filter INPUT ip saddr %IP% tcp dport { 22 } counter accept'"],
    ['ufw', 'ufw allow from %IP% to any port 22 proto tcp'],
    ['ufw, the other way round', '/usr/sbin/ufw insert 1 allow proto tcp from %IP% to any port 22 comment knock'],
    [
      'firewalld',
      `firewall-cmd --add-rich-rule='rule family="ipv4" source address="%IP%" port port="22" protocol="tcp" accept'`,
    ],
    [
      'firewalld, by service',
      `firewall-cmd --zone=public --add-rich-rule 'rule source address=%IP% service name=ssh accept'`,
    ],
  ]
  for (const [name, line] of opening) {
    it(`${name}: a service, opened without end, with a warning`, () => {
      const { value, warnings, config } = door(`start_command = ${line}`)
      assert.deepEqual(value['services'], { ssh: { port: 22 } })
      assert.deepEqual(value['credentials']?.['door'], {
        type: 'sequence',
        sequence: [7000, 9000, 8000],
        timeout: 25,
        opens: ['ssh'],
        window: 'unlimited',
      })
      assert.equal(config.credentials[0]?.window, Infinity)
      assert.match(warnings.join('\n'), /no stop_command: it stays open until pkctl delete/)
    })
  }

  const notOpening: readonly [string, string][] = [
    ['no port', '/sbin/iptables -A INPUT -s %IP% -p tcp --syn -j ACCEPT'],
    ['no protocol', '/sbin/iptables -A INPUT -s %IP% --dport 22 -j ACCEPT'],
    ['another chain', '/sbin/iptables -A FORWARD -s %IP% -p tcp --dport 22 -j ACCEPT'],
    ['another table', '/sbin/iptables -t nat -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT'],
    ['another target', '/sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j DROP'],
    ['another address', '/sbin/iptables -A INPUT -s 192.0.2.1 -p tcp --dport 22 -j ACCEPT'],
    ['no address', '/sbin/iptables -A INPUT -p tcp --dport 22 -j ACCEPT'],
    ['a negation', '/sbin/iptables -A INPUT ! -s %IP% -p tcp --dport 22 -j ACCEPT'],
    [
      'an option that is not known',
      '/sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -m time --timestart 10:00 -j ACCEPT',
    ],
    ['a source port', '/sbin/iptables -A INPUT -s %IP% -p tcp --sport 22 -j ACCEPT'],
    ['a set of nft', '/usr/sbin/nft add element inet filter open { %IP% }'],
    [
      'ports in two ways, of which both must be right',
      '/sbin/iptables -A INPUT -s %IP% -p tcp --dport 1:1000 -m multiport --dports 22,2222 -j ACCEPT',
    ],
    ['ports of either side', '/sbin/iptables -A INPUT -s %IP% -p tcp -m multiport --ports 22,80 -j ACCEPT'],
    ['two protocols of ufw', '/usr/sbin/ufw allow proto tcp from %IP% to any port 22 proto udp'],
    ['letters that nft does not take', '/usr/sbin/nft add rule inet filter input ip saddr %IP% TCP dport 22 accept'],
    ['a space that is none', '/sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j\u00a0ACCEPT'],
    ['a removal by number', '/sbin/iptables -D INPUT 1'],
    ['two ports of ufw', '/usr/sbin/ufw allow from %IP% to any app OpenSSH'],
    [
      'a rule for good',
      `/usr/bin/firewall-cmd --permanent --add-rich-rule='rule source address=%IP% service name=ssh accept'`,
    ],
    ['something else', '/usr/bin/systemctl restart apache2'],
  ]
  for (const [name, line] of notOpening) {
    it(`${name}: no service, the words as they are`, () => {
      const { value } = door(`command = ${line}`)
      assert.equal(value['services'], undefined)
      const { command } = value['credentials']?.['door']?.['on-open'] as { command: string[] }
      assert.equal(command.join(' '), line.replaceAll("'", ''))
    })
  }

  const counterparts: readonly [string, string, string][] = [
    [
      'iptables',
      '/sbin/iptables -I INPUT 1 -s %IP% -p tcp --dport 22 -j ACCEPT',
      '/sbin/iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT',
    ],
    [
      'ufw',
      'ufw allow from %IP% to any port 22 proto tcp',
      'ufw --force delete allow from %IP% to any port 22 proto tcp',
    ],
    [
      'firewalld',
      `firewall-cmd --add-rich-rule='rule source address=%IP% service name=ssh accept'`,
      `firewall-cmd --remove-rich-rule='rule source address=%IP% service name=ssh accept'`,
    ],
  ]
  for (const [name, start, stop] of counterparts) {
    it(`${name} and its counterpart: a window of cmd_timeout, and nothing to warn of`, () => {
      const { value, warnings } = door(`start_command = ${start}`, 'cmd_timeout = 30', `stop_command = ${stop}`)
      assert.equal(value['credentials']?.['door']?.['window'], 30)
      assert.deepEqual(value['credentials']['door']['opens'], ['ssh'])
      assert.equal(value['credentials']['door']['on-expiry'], undefined)
      assert.deepEqual(warnings, [])
      assert.equal(
        door(`start_command = ${start}`, `stop_command = ${stop}`).value['credentials']?.['door']?.['window'],
        10,
      )
    })
  }

  it('pktables: the service that it names, in either order', () => {
    const { value, yaml } = door(
      'start_command = /usr/local/bin/pktables add %IP% --service ssh',
      'cmd_timeout = 30',
      'stop_command = pktables delete --service=ssh %IP%/32',
    )
    assert.deepEqual(value['credentials']?.['door']?.['opens'], ['ssh'])
    assert.equal(value['credentials']['door']['window'], 30)
    assert.equal(value['services'], undefined)
    assert.match(yaml, /pkctl import\s+(# )?knockd-helper/)
  })

  it('a service of pktables does not share its name with one that is made', () => {
    const { value } = from(
      '[a]\nsequence=3,2,1\ncommand=pktables add %IP% --service ssh\n' +
        '[b]\nsequence=4,2,1\ncommand=ufw allow from %IP% to any port 22 proto tcp\n',
    )
    assert.deepEqual(value['credentials']?.['a']?.['opens'], ['ssh'])
    assert.deepEqual(value['credentials']['b']?.['opens'], ['ssh-2'])
  })

  it('a time of firewalld is the window', () => {
    const line = `firewall-cmd --timeout=5m --add-rich-rule='rule source address=%IP% service name=ssh accept'`
    assert.equal(door(`command = ${line}`).value['credentials']?.['door']?.['window'], 300)
    const long = door(`command = ${line.replace('5m', '9999h')}`).value['credentials']?.['door']
    assert.equal(long?.['window'], 31_536_000)
  })

  it('of a time of firewalld and cmd_timeout, the shorter one is the window', () => {
    const rule = (option: string) =>
      `firewall-cmd ${option}-rich-rule='rule source address=%IP% service name=ssh accept'`
    for (const [time, want] of [
      ['30s', 30],
      ['1h', 60],
      ['0', 60],
    ] as const) {
      const lines = [`start_command = ${rule(`--timeout=${time} --add`)}`, `stop_command = ${rule('--remove')}`]
      assert.equal(door(...lines, 'cmd_timeout = 60').value['credentials']?.['door']?.['window'], want)
    }
  })

  it('ufw opens a port by its name for the protocols that have it', () => {
    const ports = (line: string) => door(`command = ufw allow from %IP% to any port ${line}`).value['services']
    assert.deepEqual(ports('ssh'), { ssh: { port: 22 } })
    assert.deepEqual(ports('isakmp'), { isakmp: { port: 500, protocol: 'udp' } })
    assert.deepEqual(Object.keys(ports('domain') ?? {}), ['domain', 'domain-udp'])
    assert.equal(ports('ssh proto udp'), undefined)
  })

  it('ufw without a protocol opens both', () => {
    const { value } = door('command = ufw allow from %IP% to any port 500')
    assert.deepEqual(value['services'], { 'tcp-500': { port: 500 }, isakmp: { port: 500, protocol: 'udp' } })
  })

  it('an interface and a destination are said to be lost', () => {
    const line = '/sbin/iptables -A INPUT -i eth0 -d 192.0.2.1 -s %IP% -p udp --dport 500 -j ACCEPT'
    const { warnings, value } = door(`command = ${line}`)
    assert.deepEqual(value['services'], { isakmp: { port: 500, protocol: 'udp' } })
    assert.match(warnings.join('\n'), /interface eth0[^]*destination 192\.0\.2\.1/)
  })

  it('so are those of IPv6 alone, and a zone', () => {
    const rule = (option: string) => `ip6tables -A INPUT ${option} -s %IP% -p tcp --dport 22 -j ACCEPT`
    const six = door(`start_command = ${rule('')}`, `start_command_6 = ${rule('-i eth1')}`)
    assert.match(six.warnings.join('\n'), /left out: interface eth1/)
    const zone = door(
      "command = firewall-cmd --zone=dmz --add-rich-rule='rule source address=%IP% service name=ssh accept'",
    )
    assert.match(zone.warnings.join('\n'), /left out: zone dmz/)
  })

  it('a section that closes takes grants back, for one service or several', () => {
    const text = (allow: string, remove: string) =>
      from(`[open]\nsequence=7,9,8\ncommand=${allow}\n[close]\nsequence=8,9,7\ncommand=${remove}\n`)
    const one = text(
      'iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT',
      'iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT',
    )
    assert.deepEqual(one.value['credentials']?.['close']?.['closes'], ['ssh'])
    assert.match(one.warnings.join('\n'), /stays open until another section closes it/)
    const two = text('ufw allow from %IP% to any port 9', 'ufw delete allow from %IP% to any port 9')
    assert.deepEqual(two.value['credentials']?.['close']?.['closes'], ['tcp-9', 'udp-9'])
    const named = text('pktables add %IP% --service vpn', 'pktables delete %IP% --service vpn')
    assert.deepEqual(named.value['credentials']?.['close']?.['closes'], ['vpn'])
    const none = from('[close]\nsequence=8,9\ncommand=iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n')
    assert.equal(none.value['credentials'], undefined)
    assert.match(none.warnings.join('\n'), /section 'close': it closes 22\/tcp, which no section opens/)
  })

  it('commands without a service: a shell only where one is needed', () => {
    assert.deepEqual(trigger('/usr/bin/logger "a b" c\\ d \'\''), { command: ['/usr/bin/logger', 'a b', 'c d', ''] })
    for (const line of [
      'logger hello',
      '/bin/a; /bin/b',
      '/bin/a && /bin/b',
      '/bin/a | /bin/b',
      '/bin/a > /tmp/x',
      '/bin/a $HOME',
      '/bin/a `id`',
      '/bin/a *.txt',
      '/bin/a ~/x',
      '/bin/a & ',
      '/bin/a "$(id)"',
      "/bin/a 'open",
      '/bin/a #b',
      '(/bin/a)',
      'X=1 /bin/a',
    ]) {
      assert.deepEqual(trigger(line), { shell: line.trim() }, line)
    }
    for (const [line, timeout] of [
      ['sleep 60; /bin/a', 90],
      ['/bin/a; (sleep  5m && sleep 1s) &', 331],
      ['sleep 1h 30m', 5430],
    ] as const) {
      assert.deepEqual(trigger(line), { shell: line, timeout })
    }
    for (const line of ['/bin/a; sleep $N; /bin/b', 'sleep 1.5; /bin/b', 'sleep 2d; /bin/b', 'sleep "$N"; /bin/b']) {
      assert.match(door(`command = ${line}`).warnings.join('\n'), /the time that start_command sleeps is unknown/, line)
    }
  })

  it('commands: what they may not do under the units of the packages is said, and only where there are any', () => {
    const text = door('command = /usr/bin/systemctl restart apache2').yaml.replace(/\n *# ?/g, ' ')
    assert.match(text, /under the units of the packages, commands are run as the user pkctl, with CAP_NET_ADMIN alone/)
    assert.match(text, /what needs root or another user fails \(docs\/installation\.md, commands on a knock\)/)
    assert.doesNotMatch(door('command = ufw allow from %IP% to any port 22 proto tcp').yaml, /units/)
  })

  it('a stop_command that is no counterpart runs when the time is over', () => {
    const { value, warnings } = door(
      'start_command = /sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT',
      'cmd_timeout = 20',
      'stop_command = /sbin/iptables -D INPUT -s %IP% -p tcp --dport 23 -j ACCEPT',
    )
    const credential = value['credentials']?.['door']
    assert.equal(credential?.['opens'], undefined)
    assert.equal(credential?.['window'], 20)
    assert.deepEqual(Object.keys(credential), ['type', 'sequence', 'timeout', 'window', 'on-open', 'on-expiry'])
    assert.match(warnings.join('\n'), /stop_command is not the counterpart/)
  })

  it('IPv6: its counterparts belong to the service, other commands are run as they are, empty ones do nothing', () => {
    const four = 'start_command = /sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT'
    const same = door(four, 'start_command_6 = /sbin/ip6tables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT')
    assert.deepEqual(same.value['credentials']?.['door']?.['opens'], ['ssh'])
    const empty = door(four, 'command_6 =').value['credentials']?.['door']?.['on-open'] as Record<string, unknown>
    assert.deepEqual(empty['command6'], [])
    const other = door('command = /bin/a', 'command_6 = /bin/b; c').value['credentials']?.['door']?.['on-open']
    assert.deepEqual(other, { command: ['/bin/a'], shell6: '/bin/b; c' })
    const six = door('start_command_6 = /bin/b').value['credentials']?.['door']?.['on-open']
    assert.deepEqual(six, { command: [], command6: ['/bin/b'] })
  })

  it('keys in any letters, sequences, flags, targets, times', () => {
    const { value } = from(
      '[OPTIONS]\nUSESYSLOG\n[a]\n SEQUENCE = 7000:TCP, 8000:udp ,1\nSeq_Timeout=5\nTCPFlags = syn, !ACK\n' +
        'Target = 2001:DB8::1\nCOMMAND = /bin/true\n',
    )
    assert.deepEqual(value['log'], { to: 'syslog' })
    assert.deepEqual(value['credentials']?.['a'], {
      type: 'sequence',
      sequence: [7000, '8000:udp', 1],
      timeout: 5,
      'tcp-flags': ['syn', '!ack'],
      target: '2001:db8::1',
      'on-open': { command: ['/bin/true'] },
    })
  })

  it('what knockd reads beside the names of its manual: timeout, and numbers with something behind them', () => {
    const options = (...lines: string[]) => {
      const { value, warnings } = from(`[a]\n${lines.join('\n')}\ncommand = /bin/true\n`)
      assert.deepEqual(warnings, [])
      return value['credentials']?.['a']
    }
    const named = { sequence: [7000, '8000:udp', 9], timeout: 5 }
    for (const lines of [
      ['sequence = 7000,8000:udp,9', 'timeout = 5'],
      ['sequence = 7000 ,8000 : udp,9   # mine', 'TIMEOUT = 5 # seconds'],
      ['sequence = 7000:tcp, 8000: UDP , 9 # mine', 'seq_timeout = 5s'],
    ]) {
      assert.deepEqual(options(...lines), { type: 'sequence', ...named, 'on-open': { command: ['/bin/true'] } })
    }
  })

  it('flags that no client sends are said', () => {
    const flags = (text: string) => door(`tcpflags = ${text}`, 'command = /bin/true').warnings.join('\n')
    assert.match(flags('syn,ack'), /^door: TCPFlags = syn,ack: no client sends them/)
    assert.equal(flags('syn'), '')
    const udp = from('[a]\nsequence=1:udp,2:UDP\ntcpflags=syn,ack\ncommand=/bin/true\n')
    assert.deepEqual(udp.warnings, [])
  })

  it('the log never decides whether the daemon starts: no path is taken over', () => {
    const log = (...lines: string[]) => from(`[options]\n${lines.join('\n')}\n[a]\nsequence=1\ncommand=/bin/a\n`)
    const file = log('logfile = /var/log/knockd.log')
    assert.equal(file.value['log'], undefined)
    assert.match(file.warnings.join('\n'), /^left out: LogFile = \/var\/log\/knockd\.log: .*\/var\/log\/pkctl/)
    const both = log('logfile = /var/log/knockd.log', 'UseSyslog')
    assert.deepEqual(both.value['log'], { to: 'syslog' })
    assert.equal(both.warnings.length, 1)
  })

  it('knocks count on the interface of knockd, and that ports are closed on all is said', () => {
    const read = (name: string) => {
      const { value, warnings } = from(`[options]\nInterface = ${name}\n[a]\nsequence=1\ncommand=/bin/a\n`)
      return { limit: value['credentials']?.['a']?.['interface'], said: warnings.join('\n') }
    }
    const { limit, said } = read('eth0')
    assert.equal(limit, 'eth0')
    assert.match(said, /^Interface = eth0: knocks count on this interface alone, but ports are closed on all.*allow/)
    assert.deepEqual(read('any'), { limit: undefined, said: '' })
    const alias = read('eth0:1')
    assert.equal(alias.limit, undefined)
    assert.match(
      alias.said,
      /^left out: Interface = eth0:1: knocks count on all interfaces, and ports are closed on all/,
    )
  })

  it('sequences that are good for once, where their file can be read', () => {
    const good = from(`[a]\none_time_sequences = ${oneTime}\nsequence = 1\ncommand = /bin/true\n`)
    assert.equal(good.value['credentials']?.['a']?.['sequences-file'], oneTime)
    assert.match(good.warnings.join('\n'), /Sequence, beside One_Time_Sequences/)
    assert.match(good.warnings.join('\n'), /must be able to write \/etc\/pkctl\/once.*\/var\/lib\/pkctl/)
    for (const file of ['/etc/nowhere', 'relative']) {
      const { value, warnings } = from(`[a]\none_time_sequences = ${file}\ncommand = /bin/true\n`)
      assert.equal(value['credentials'], undefined)
      assert.match(warnings.join('\n'), /section 'a': its file of sequences/)
    }
  })

  const leftOut: readonly [string, string, RegExp][] = [
    ['no sequence', '[a]\ncommand=/bin/true', /neither Sequence nor/],
    ['a wrong port', '[a]\nsequence=0\ncommand=/bin/true', /got '0'/],
    ['another protocol', '[a]\nsequence=1:icmp\ncommand=/bin/true', /got '1:icmp'/],
    ['33 knocks', `[a]\nsequence=${Array(33).fill(1).join()}\ncommand=/bin/true`, /has 33 knocks/],
    ['wrong flags', '[a]\nsequence=1\ntcpflags=syn,foo\ncommand=/bin/true', /got 'foo'/],
    ['a target by name', '[a]\nsequence=1\ntarget=example.org\ncommand=/bin/true', /target example\.org is no address/],
    ['no command', '[a]\nsequence=1', /has no command/],
    ['empty commands', '[a]\nsequence=1\ncommand=\nstop_command=', /has no command/],
    ['a line without a section', 'sequence=1', /line 1: neither/],
    ['a line without a value', '[options]\nfoo', /line 2: neither/],
    ['an alias of an interface', '[options]\nInterface=eth0:1', /Interface = eth0:1/],
    ['a relative log', '[options]\nLogFile=knockd.log', /LogFile = knockd\.log/],
    ['a log that cannot be typed', '[options]\nLogFile=/a\u2028b', /LogFile = \/a\\u2028b/],
    ['an unknown option', '[options]\nfoo=bar', /foo in \[options\]/],
  ]
  for (const [name, text, why] of leftOut) {
    it(`${name}: left out, with a comment and a warning`, () => {
      const { value, warnings, yaml } = from(text)
      assert.deepEqual(value, {})
      assert.equal(warnings.length, 1)
      assert.match(warnings[0] as string, why)
      assert.match(yaml, /^# left out|^# line/m)
    })
  }

  it('a heading that is none ends the section before it', () => {
    const { value, warnings } = from('[a]\nsequence=1\ncommand=/bin/a\n[b] # c\nsequence=2\ncommand=/bin/b\n')
    assert.deepEqual(value['credentials']?.['a']?.['on-open'], { command: ['/bin/a'] })
    assert.equal(warnings.filter(line => line.includes('neither [name]')).length, 3)
  })

  it('a second value and an unknown key are told', () => {
    const { warnings, value } = door('command=/bin/a', 'start_command=/bin/b', 'foo=1', 'seq_timeout=soon')
    assert.deepEqual(value['credentials']?.['door']?.['on-open'], { command: ['/bin/b'] })
    assert.match(warnings.join('\n'), /given twice[^]*left out: foo[^]*seq_timeout = soon/)
  })

  it('names become valid and unique', () => {
    const { credentials, yaml } = from(
      ['[open ssh!]', '[open-ssh-]', '[é]', '[]', `[${'n'.repeat(60)}]`, `[${'n'.repeat(61)}]`, '[__proto__]']
        .map(name => `${name}\nsequence=1\ncommand=/bin/true\n`)
        .join(''),
    )
    const n = 'n'.repeat(40)
    assert.deepEqual(
      [...credentials.keys()],
      ['open-ssh', 'open-ssh-2', 'e', 'knock', n, `${n.slice(0, 38)}-2`, 'proto__'],
    )
    assert.match(yaml, /# called 'open ssh!' there/)
  })

  it('ports that overlap are divided among services', () => {
    const rule = (ports: string) => `iptables -A INPUT -s %IP% -p tcp --dport ${ports} -j ACCEPT`
    const { value } = from(
      ['6000:6010', '6005', '6005:6020']
        .map((ports, i) => `[d${i}]\nsequence=${i + 1}\ncommand=${rule(ports)}\n`)
        .join(''),
    )
    assert.deepEqual(value['services'], {
      'tcp-6000-6004': { port: '6000-6004' },
      'tcp-6005': { port: 6005 },
      'tcp-6006-6010': { port: '6006-6010' },
      'tcp-6011-6020': { port: '6011-6020' },
    })
    assert.deepEqual(value['credentials']?.['d1']?.['opens'], ['tcp-6005'])
    assert.deepEqual(value['credentials']['d2']?.['opens'], ['tcp-6005', 'tcp-6006-6010', 'tcp-6011-6020'])
  })

  it('hostile text stays text, in names, values and comments', () => {
    for (const text of hostile) {
      const line = text.replace(/[\r\n]/g, ' ')
      const { value, yaml } = from(
        `[${line}]\nsequence=1\ncommand=/bin/echo ${line}\n[options]\nfoo=${line}\ninterface=${line}\n${line}\n[b]\nsequence=${line}\n`,
      )
      const [credential] = Object.values(value['credentials'] ?? {})
      const { command, shell } = credential?.['on-open'] as { command?: string[]; shell?: string }
      assert.equal(shell ?? command?.[0], shell === undefined ? '/bin/echo' : `/bin/echo ${line}`.trim(), text)
      assert.deepEqual(Object.keys(value), ['credentials'], text)
      // eslint-disable-next-line no-control-regex -- control characters are the point
      assert.doesNotMatch(yaml, /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028]/, text)
    }
  })

  it('what is huge comes to an end', () => {
    const lines = 'x\n'.repeat(400_000)
    const { yaml, warnings } = from(lines)
    assert.ok(yaml.length < 50_000)
    assert.match(warnings.at(-1) ?? '', /and 399800 more/)
    assert.throws(() => from('[a]\nsequence=1\ncommand=/bin/a\n'.repeat(1001)), UserError)
    from(`[a]\nsequence=1\ncommand=iptables ${'-A '.repeat(300_000)}\n`)
    from(`${' a'.repeat(400_000)}\n`)
  })

  it('is the same each time', () => {
    const text = '[b]\nsequence=1\ncommand=/bin/a\n[a]\nsequence=2\ncommand=ufw allow from %IP% to any port 80\n'
    assert.equal(from(text).yaml, from(text).yaml)
  })
})
