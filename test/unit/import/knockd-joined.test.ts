/** Doors of knockd.conf whose commands do several things, or open all ports. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { TriggerCommand } from '../../../src/config/types.js'
import { importKnockd } from '../../../src/import/knockd.js'
import { imported } from './import-support.js'

const words = (command: TriggerCommand | null | undefined) =>
  command && ('shell' in command ? command.shell : command.argv.join(' ')).replaceAll("'", '')
const reader = { readFile: () => assert.fail('no file is named') }
const from = (text: string) => imported(importKnockd(text, reader))
const door = (...lines: string[]) => from(`[door]\nsequence = 7000,9000,8000\n${lines.join('\n')}\n`)
const accept = (port: string, option = '-A', program = 'iptables') =>
  `/sbin/${program} ${option} INPUT -s %IP% -p tcp --dport ${port} -j ACCEPT`

describe('import knockd: several commands in a line', () => {
  const opening: readonly [string, string, readonly string[]][] = [
    [
      'two services of pktables, as its example of a VPN',
      '/usr/bin/pktables add %IP% --service isakmp; /usr/bin/pktables add %IP% --service ipsec-nat-t',
      ['isakmp', 'ipsec-nat-t'],
    ],
    ['the same by &&', 'pktables add %IP% --service a && pktables add --service b %IP%', ['a', 'b']],
    ['a semicolon at the end', `${accept('22')};`, ['ssh']],
    ['both versions of IP', `${accept('22')} && ${accept('22', '-A', 'ip6tables')}`, ['ssh']],
    ['two ports', `${accept('22')}; ${accept('80')}`, ['ssh', 'http']],
    ['output that goes nowhere', `${accept('22')} >/dev/null 2>&1`, ['ssh']],
    ['sudo with an option', `sudo -n ${accept('22')}`, ['ssh']],
    ['a shell of its own', `/bin/sh -c "${accept('22')}; ${accept('80')}"`, ['ssh', 'http']],
    ['a comment behind it', `${accept('22')} # let in`, ['ssh']],
    [
      'firewalls of two kinds',
      `ufw allow from %IP% to any port 22 proto tcp; pktables add %IP% --service vpn`,
      ['ssh', 'vpn'],
    ],
  ]
  for (const [name, line, opens] of opening) {
    it(`${name}: opens all that it names`, () => {
      const stop = line
        .replaceAll(' add ', ' delete ')
        .replaceAll(' -A ', ' -D ')
        .replaceAll('ufw allow', 'ufw delete allow')
      const { value, warnings } = door(`start_command = ${line}`, 'cmd_timeout = 60', `stop_command = ${stop}`)
      const credential = value['credentials']?.['door']
      assert.deepEqual([...(credential?.['opens'] as string[])].sort(), [...opens].sort())
      assert.equal(credential?.['window'], 60)
      assert.equal(credential['on-open'], undefined)
      assert.deepEqual(warnings, [])
    })
  }

  it('what follows the rules is run, and the rules are not', () => {
    const { value } = door(
      `start_command = ${accept('22')} && /usr/bin/logger "in: %IP%"; echo x | mail root`,
      `stop_command = ${accept('22', '-D')}; /usr/bin/logger out`,
    )
    assert.deepEqual(value['credentials']?.['door']?.['opens'], ['ssh'])
    assert.deepEqual(value['credentials']['door']['on-open'], {
      shell: '/usr/bin/logger "in: %IP%"; echo x | mail root',
    })
    assert.deepEqual(value['credentials']['door']['on-expiry'], { command: ['/usr/bin/logger', 'out'] })
  })

  it('a rule that is taken back after a pause is a window', () => {
    const line = `command = ${accept('22')}; sleep 2m; ${accept('22', '-D')}`
    const { value, warnings } = door(line)
    assert.equal(value['credentials']?.['door']?.['window'], 120)
    assert.deepEqual(value['credentials']['door']['opens'], ['ssh'])
    assert.deepEqual(warnings, [])
  })

  const asTheyAre: readonly [string, string][] = [
    ['a condition before it', `test -e /run/open && ${accept('22')}`],
    ['an alternative', `${accept('22')} || ${accept('23')}`],
    ['a pipe', `${accept('22')} | logger`],
    ['a subshell', `(${accept('22')})`],
    ['a rule that is not known behind it', `${accept('22')}; iptables -t nat -A PREROUTING -s %IP% -j LOG`],
    ['a pause and another rule', `${accept('22')}; sleep 20; ${accept('23', '-D')}`],
    ['opening and closing', `${accept('22')}; ${accept('23', '-D')}`],
    ['one that runs later', `${accept('22')}; echo "${accept('22', '-D')}" | at now + 1 hour`],
  ]
  for (const [name, line] of asTheyAre) {
    it(`${name}: run as it is, and said`, () => {
      const { value, warnings } = door(`command = ${line}`)
      assert.equal(value['services'], undefined)
      const { shell } = value['credentials']?.['door']?.['on-open'] as { shell: string }
      assert.equal(shell, line)
      assert.match(warnings.join('\n'), /its commands are run as they are: it is not plain which port they open/)
    })
  }

  it('a section that closes what a line opens by other means is run, too', () => {
    const text = `[a]\nsequence=3,2,1\ncommand=${accept('22')} | logger\n[b]\nsequence=4,2,1\ncommand=${accept('22', '-D')}\n`
    const { value } = from(text)
    assert.deepEqual(Object.keys(value['credentials']?.['b'] ?? {}), ['type', 'sequence', 'timeout', 'on-open'])
  })
})

describe('import knockd: commands that are run as they are', () => {
  const plain = `[ssh]\nsequence=7,9,8\ncommand=${accept('22')}\n`
  const set = 'ipset add knock %IP%'

  it('what they may have to open of other sections is said', () => {
    const { warnings } = from(
      `${plain}[vpn]\nsequence=6,9,8\ncommand=pktables add %IP% --service vpn\n[set]\nsequence=4,9,8\ncommand=${set}\n`,
    )
    assert.match(warnings.join('\n'), /set: the services of other sections \(ssh, vpn\) stay closed for it.*in opens/)
    assert.doesNotMatch(from(`[set]\nsequence=4,9,8\ncommand=${set}\n`).warnings.join('\n'), /stay closed/)
    assert.doesNotMatch(from(`${plain}[x]\nsequence=4,9,8\ncommand=/bin/true\n`).warnings.join('\n'), /stay closed/)
  })

  it('that a second knock adds a second rule, and one is taken back, is said', () => {
    const nft = 'nft add rule inet filter knock ip saddr %IP% accept'
    const { warnings } = door(`start_command = ${nft}`, 'stop_command = nft flush chain inet filter knock')
    assert.match(
      warnings.join('\n'),
      /a second knock within the window runs start_command again, and stop_command runs once/,
    )
    const other = door('start_command = /bin/a', 'stop_command = /bin/b')
    assert.deepEqual(other.warnings, [])
  })

  it('a rule of iptables that its stop_command deletes is there once, however often one knocks', () => {
    const rule = (action: string, program = 'iptables') => `/sbin/${program} ${action} KNOCK -s %IP% -j ACCEPT`
    const { value, warnings } = door(
      `start_command = ${rule('-I')}; ${rule('-A', 'ip6tables')}`,
      `stop_command = ${rule('-D')}; ${rule('-D', 'ip6tables')}`,
    )
    assert.deepEqual(value['credentials']?.['door']?.['on-open'], {
      shell: `(${rule('-D')}; ${rule('-D', 'ip6tables')}) >/dev/null 2>&1; ${rule('-I')}; ${rule('-A', 'ip6tables')}`,
    })
    assert.doesNotMatch(warnings.join('\n'), /second knock/)
  })
})

describe('import knockd: all ports', () => {
  const ssh = `[ssh]\nsequence=7100,9100,8100\nstart_command=${accept('22')}\nstop_command=${accept('22', '-D')}\n`
  const vpn = '[vpn]\nsequence=7300,9300,8300\ncommand=pktables add %IP% --service vpn\n'
  const all = (start: string, stop?: string) =>
    `[everything]\nsequence=7200,9200,8200\nstart_command=${start}\n${stop === undefined ? '' : `cmd_timeout=3600\nstop_command=${stop}\n`}`

  const lines: readonly [string, string, string | undefined, readonly string[]][] = [
    [
      'iptables',
      '/usr/sbin/iptables-nft -I INPUT -s %IP% -j ACCEPT',
      '/usr/sbin/iptables-nft -D INPUT -s %IP% -j ACCEPT',
      ['ssh', 'vpn'],
    ],
    ['a protocol', 'iptables -I INPUT -s %IP% -p tcp -j ACCEPT', 'iptables -D INPUT -s %IP% -p tcp -j ACCEPT', ['ssh']],
    [
      'another protocol',
      'iptables -I INPUT -s %IP% -p udp -j ACCEPT',
      'iptables -D INPUT -s %IP% -p udp -j ACCEPT',
      [],
    ],
    ['a range of all', 'iptables -I INPUT -s %IP% -p tcp --dport 1:65535 -j ACCEPT', undefined, ['ssh']],
    ['ufw', 'ufw insert 1 allow from %IP%', 'ufw delete allow from %IP%', ['ssh', 'vpn']],
    ['ufw to any', 'ufw allow from %IP% to any', 'ufw delete allow from %IP% to any', ['ssh', 'vpn']],
    ['nft', 'nft insert rule inet filter input ip saddr %IP% counter accept', undefined, ['ssh', 'vpn']],
    [
      'firewalld',
      `firewall-cmd --add-rich-rule='rule family=ipv4 source address=%IP% accept'`,
      undefined,
      ['ssh', 'vpn'],
    ],
    [
      'a zone of firewalld',
      'firewall-cmd --zone=trusted --add-source=%IP%',
      'firewall-cmd --zone=trusted --remove-source=%IP%',
      ['ssh', 'vpn'],
    ],
  ]
  for (const [name, start, stop, opens] of lines) {
    it(`${name}: opens the services of the other sections, and is run for the ports of others`, () => {
      const { value, warnings, config } = from(ssh + vpn + all(start, stop))
      const credential = value['credentials']?.['everything']
      assert.deepEqual(credential?.['opens'] ?? [], opens)
      assert.equal(credential?.['window'], stop === undefined ? (opens.length > 0 ? 'unlimited' : undefined) : 3600)
      const trigger = config.credentials.find(one => one.name === 'everything')?.triggers
      // A second knock in the window runs on-open again, and on-expiry runs once: no rule may be there twice.
      const once = stop === undefined ? start : `(${stop}) >/dev/null 2>&1; ${start}`
      assert.equal(words(trigger?.open?.command), once.replaceAll("'", ''))
      assert.equal(words(trigger?.expiry?.command), stop)
      assert.deepEqual(value['services'], { ssh: { port: 22 } })
      const said =
        opens.length > 0
          ? new RegExp(`opens all .*ports there.*every service.*\\(${opens.join(', ')}\\)`)
          : /opens all .*ports there.*no service/
      assert.match(warnings.join('\n'), said)
    })
  }

  it('alone, it is run as it is, and that nothing is closed is said', () => {
    const { value, warnings } = from(all('iptables -I INPUT -s %IP% -j ACCEPT'))
    assert.equal(value['services'], undefined)
    assert.equal(value['credentials']?.['everything']?.['opens'], undefined)
    assert.match(warnings.join('\n'), /everything: it opens all ports there.*no service/)
  })

  it('a section that takes it back closes what it opened', () => {
    const close = '[close]\nsequence=7400,9400,8400\ncommand=iptables -D INPUT -s %IP% -j ACCEPT\n'
    const { value } = from(ssh + all('iptables -I INPUT -s %IP% -j ACCEPT') + close)
    assert.deepEqual(value['credentials']?.['close']?.['closes'], ['ssh'])
    assert.deepEqual(
      (value['credentials']['close']['on-close'] as { shell: string }).shell,
      'iptables -D INPUT -s %IP% -j ACCEPT',
    )
  })
})
