/** What `pkctl doctor` finds in the rules of others, and of files. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { must } from '../support/commands.js'
import { goodKey, idsOf, patientOfSuite, soundConfig } from '../support/doctor.js'

describe('doctor, of the rules of others and of files', () => {
  const patient = patientOfSuite()

  describe('finds of other rules', () => {
    const input = 'add chain inet other in { type filter hook input priority 0; policy drop; }'

    it("a policy, until the port is let pass: 'policy-drops'", async () => {
      const p = patient()
      await p.start()
      await p.nft('add table inet other', input, 'add rule inet other in ct state established,related accept')
      await p.nft('add rule inet other in iif lo accept', 'add rule inet other in tcp dport { 80, 443 } accept')
      const found = await p.finds('policy-drops', /chain in of table inet other drops .* after pkctl, .* 22\/tcp pass/)
      assert.equal(found.table, 'inet other')
      await must([
        'ip',
        'netns',
        'exec',
        p.lab.server,
        ...(/nft insert rule .* accept(?=;)/.exec(found.advice)?.[0] ?? '').split(' '),
      ])
      await p.isSound()
    })

    it('ufw, firewalld and iptables by their names, and what they advise helps', async () => {
      const p = patient()
      await p.start()
      await p.iptables('-N ufw-user-input')
      await p.iptables('-A INPUT -j ufw-user-input')
      await p.iptables('-P INPUT DROP')
      const ufw = await p.finds('policy-drops', /^ufw \(chain INPUT of table ip filter\)/)
      assert.match(ufw.advice, /^ufw allow 22\/tcp;/)
      await p.iptables('-A ufw-user-input -p tcp -m multiport --dports 20:23,80 -j ACCEPT')
      await p.isSound()
      await p.iptables('-P INPUT DROP', 'ip6tables-nft')
      assert.match(
        (await p.finds('policy-drops', /^iptables-nft/)).advice,
        /^ip6tables -I INPUT -p tcp --dport 22 -j ACCEPT;/,
      )
      await p.iptables('-I INPUT -p tcp --dport 22 -j ACCEPT', 'ip6tables-nft')
      await p.isSound()
      await p.nft(
        'add table inet firewalld',
        'add chain inet firewalld filter_INPUT { type filter hook input priority 10; policy accept; }',
        'add chain inet firewalld zone',
        'add rule inet firewalld filter_INPUT ct state { established, related } accept',
        'add rule inet firewalld filter_INPUT jump zone',
        'add rule inet firewalld filter_INPUT reject with icmpx admin-prohibited',
      )
      assert.match((await p.finds('policy-drops', /^firewalld/)).advice, /^firewall-cmd --permanent --add-port=22\/tcp/)
      await p.nft('add rule inet firewalld zone tcp dport 22 accept')
      await p.isSound()
    })

    it("rules for the port, for all or for some: 'rule-drops'", async () => {
      const p = patient()
      await p.start()
      await p.nft('add table inet other', input.replace('drop', 'accept'), 'add set inet other bad { type ipv4_addr; }')
      await p.nft('add rule inet other in tcp dport 22 ip saddr @bad reject')
      assert.equal((await p.finds('rule-drops', /drops some packets to 22\/tcp/)).level, 'note')
      await p.nft('flush chain inet other in', 'add rule inet other in tcp dport vmap { 22 : drop, 80 : accept }')
      assert.equal((await p.finds('rule-drops', /drops 22\/tcp, after pkctl/)).level, 'warning')
      await p.nft('flush chain inet other in', 'add rule inet other in tcp dport 23 drop')
      await p.nft('add rule inet other in udp dport 22 drop', 'add rule inet other in ct state invalid drop')
      await p.isSound()
    })

    it("knocks that do not arrive: 'knocks-dropped'", async () => {
      const p = patient()
      await p.start()
      await p.iptables('-t raw -A PREROUTING -p udp --dport 4000 -j DROP')
      const found = await p.finds(
        'knocks-dropped',
        /iptables-nft \(chain PREROUTING of table ip raw\) may drop knocks of laptop, to 4000\/udp/,
      )
      assert.equal(found.credential, 'laptop')
      await p.iptables('-t raw -F PREROUTING')
      await p.iptables('-t raw -A PREROUTING -p udp --dport 4001 -j DROP')
      await p.isSound()
    })

    it("containers past the hook input: 'published-past-input', and the hook that it advises helps", async () => {
      const p = patient()
      await p.start()
      await p.iptables('-t nat -N DOCKER')
      await p.iptables('-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER')
      await p.iptables('-t nat -A DOCKER ! -i docker0 -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80')
      await p.isSound()
      await p.lab.mustPkctl('init', 'web', '--port', '8080', '--syn')
      const found = await p.finds('published-past-input', /^docker .* sends 8080\/tcp elsewhere/)
      assert.match(found.advice, /hook: prerouting/)
      await p.lab.mustPkctl('init', 'web', '--port', '8080', '--syn', '--hook', 'prerouting')
      assert.ok(!idsOf(await p.findings()).includes('published-past-input'))
    })

    it('containers behind a jump, and by a map', async () => {
      const p = patient()
      await p.start()
      await p.lab.mustPkctl('init', 'web', '--port', '8080', '--syn')
      await p.nft('add table ip fw', 'add chain ip fw pre { type nat hook prerouting priority dstnat; }')
      await p.nft('add chain ip fw pod', 'add rule ip fw pod meta l4proto tcp dnat to 172.17.0.2:80')
      await p.nft('add rule ip fw pre tcp dport 8080 jump pod')
      await p.finds('published-past-input', /^chain pre of table ip fw sends 8080\/tcp elsewhere/)
      await p.nft('flush chain ip fw pre', 'add rule ip fw pre dnat to tcp dport map { 8080 : 172.17.0.2 . 80 }')
      await p.finds('published-past-input', /^chain pre of table ip fw sends 8080\/tcp elsewhere/)
      await p.nft('flush chain ip fw pre', 'add map ip fw m { type inet_service : ipv4_addr . inet_service; }')
      await p.nft('add rule ip fw pre dnat to tcp dport map @m', 'add element ip fw m { 8081 : 172.17.0.2 . 80 }')
      assert.ok(!idsOf(await p.findings()).includes('published-past-input'))
      await p.nft('add element ip fw m { 8080 : 172.17.0.2 . 80 }')
      await p.finds('published-past-input', /8080\/tcp/)
    })

    it('no drop of a port that is published, with the hook prerouting', async () => {
      const p = patient()
      await p.start()
      await p.lab.mustPkctl('init', 'web', '--port', '8080', '--syn', '--hook', 'prerouting')
      await p.iptables('-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT')
      await p.iptables('-P INPUT DROP')
      await p.finds('policy-drops', /lets 8080\/tcp pass/)
      await p.iptables('-t nat -A PREROUTING -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80')
      assert.ok(!idsOf(await p.findings()).includes('policy-drops'))
    })

    it('a firewall as firewalld makes it, which accepts what DNAT has led here', async () => {
      const p = patient()
      await p.start()
      await p.lab.mustPkctl('init', 'web', '--port', '8080', '--syn')
      await p.nft(
        'add table inet fw',
        'add chain inet fw input { type filter hook input priority 10; policy accept; }',
        'add chain inet fw zone',
        'add rule inet fw input ct state { established, related } accept',
        'add rule inet fw input ct status dnat accept',
        'add rule inet fw input iifname "lo" accept',
        'add rule inet fw input jump zone',
        'add rule inet fw input reject with icmpx admin-prohibited',
        'add rule inet fw zone tcp dport 22 accept',
        'add rule inet fw zone meta l4proto { icmp, ipv6-icmp } accept',
      )
      await p.finds('policy-drops', /^chain input of table inet fw .* lets 8080\/tcp pass/)
    })

    it("a port that passes for some: 'passes-for-some'", async () => {
      const p = patient()
      await p.start()
      await p.nft('add table inet other', input, 'add set inet other good { type ipv4_addr; }')
      await p.nft('add rule inet other in tcp dport 22 ip saddr @good accept')
      await p.finds('policy-drops', /has no rule that lets 22\/tcp pass/)
      await p.nft('add element inet other good { 192.0.2.1 }')
      await p.finds('passes-for-some', /lets 22\/tcp pass only from certain sources/)
      await p.nft('flush chain inet other in', 'add rule inet other in iifname "none7" tcp dport 22 accept')
      await p.finds('policy-drops', /has no rule that lets 22\/tcp pass/)
      const link = 'add rule inet other in iifname != "none7" tcp dport 22 accept'
      await p.nft('flush chain inet other in', link)
      await p.isSound()
    })

    it("the same in nft, and a port by which one comes around: 'redirected-past-prerouting'", async () => {
      const p = patient()
      await p.lab.mustPkctl('init', 'ssh', '--port', '22', '--syn', '--hook', 'prerouting')
      await p.nft('add table ip n', 'add chain ip n pre { type nat hook prerouting priority -100; }')
      await p.nft('add rule ip n pre tcp dport 2222 redirect to :22')
      await p.finds('redirected-past-prerouting', /turns port 2222 into port 22/)
      await p.lab.mustPkctl('init', 'ssh', '--port', '22,2222', '--syn', '--hook', 'prerouting')
      assert.ok(!idsOf(await p.findings()).includes('redirected-past-prerouting'))
      await p.lab.mustPkctl('init', 'ssh', '--port', '22', '--syn')
      assert.ok(!idsOf(await p.findings()).includes('published-past-input'))
      await p.lab.mustPkctl('init', 'ssh', '--port', '2222', '--syn')
      await p.finds('published-past-input', /sends 2222\/tcp elsewhere/)
    })

    it("grants in a ruleset that was saved: 'saved-rules'", async () => {
      const p = patient()
      await p.start()
      await p.lab.mustPkctl('add', '192.0.2.1', '--service', 'ssh')
      const listed = await p.lab.on(['nft', 'list', 'ruleset'])
      const file = p.lab.file('nftables.conf', listed.stdout)
      const mount = 'mount --bind "$0" /etc/nftables.conf; exec "$@"'
      const found = await p.finds('saved-rules', /conf holds 1 grant of pkctl/, [], {}, [
        'unshare',
        '-m',
        'sh',
        '-ec',
        mount,
        file,
      ])
      assert.deepEqual([found.level, found.path], ['warning', '/etc/nftables.conf'])
    })

    it("marks: 'foreign-mark'", async () => {
      const p = patient()
      await p.start()
      await p.iptables('-t mangle -A PREROUTING -p tcp --dport 80 -j MARK --set-mark 0x4000')
      await p.isSound()
      await p.iptables('-t mangle -A PREROUTING -p tcp -j CONNMARK --restore-mark --nfmask 0xff0000 --ctmask 0xff0000')
      await p.isSound()
      await p.iptables('-t mangle -A PREROUTING -p tcp --dport 80 -j MARK --set-mark 0x10/0xff')
      await p.finds('foreign-mark', /iptables-nft \(chain PREROUTING of table ip mangle\) .*0xff\b/)
      await p.iptables('-t mangle -F PREROUTING')
      await p.iptables('-t mangle -A PREROUTING -p tcp -j CONNMARK --restore-mark')
      await p.finds('foreign-mark', /chain PREROUTING of table ip mangle/)
      await p.iptables('-t mangle -F PREROUTING')
      await p.nft('add table inet m', 'add chain inet m pre { type filter hook prerouting priority -200; }')
      await p.nft('add rule inet m pre meta mark set meta mark and 0xffff00ff or 0x4100')
      await p.isSound()
      await p.nft('add rule inet m pre meta mark set ct mark')
      await p.finds('foreign-mark', /table inet m\b/)
    })
  })

  describe('finds of files', () => {
    const withKey = soundConfig.replace(`key: '${goodKey}'`, 'key-file: keys/laptop')

    it("that others can read: 'secrets-readable', 'state-readable'", async () => {
      const p = patient()
      p.lab.file('keys/laptop', `${goodKey}\n`)
      await p.start(withKey)
      const key = path.join(p.lab.directory, 'keys/laptop')
      fs.chmodSync(key, 0o640)
      assert.equal((await p.finds('secrets-readable', /its group can read it/)).path, key)
      fs.chmodSync(key, 0o600)
      fs.chmodSync(path.join(p.lab.directory, 'pkctl.yaml'), 0o644)
      await p.isSound()
      fs.chmodSync(path.join(p.lab.directory, 'state'), 0o755)
      await p.finds('state-readable', /who has knocked/)
      p.lab.config(soundConfig)
      fs.chmodSync(path.join(p.lab.directory, 'pkctl.yaml'), 0o644)
      await p.finds('secrets-readable', /everyone can read it/)
    })

    it("that the daemon cannot write, because another user made them: 'state-not-writable'", async () => {
      const p = patient()
      await p.start(soundConfig)
      const state = path.join(p.lab.directory, 'state')
      fs.chownSync(state, 65534, 65534)
      await p.finds('state-not-writable', /as user 65534, cannot write .*\/state\/replays/)
      fs.chownSync(state, 0, 0)
      await p.isSound()
    })

    it("that others can write, or a directory above: 'file-writable'", async () => {
      const p = patient()
      p.lab.file('keys/laptop', `${goodKey}\n`)
      await p.start(withKey)
      const keys = path.join(p.lab.directory, 'keys')
      fs.chmodSync(keys, 0o777)
      const open = await p.finds('file-writable', /keys above .*keys\/laptop can be written by everyone/)
      assert.deepEqual([open.level, open.path, open.advice], ['error', keys, `chmod go-w ${keys}`])
      fs.chmodSync(keys, 0o1777)
      await p.isSound()
      fs.chmodSync(keys, 0o700)
      fs.chownSync(keys, 65534, 0)
      assert.equal((await p.finds('file-writable', /by the user 65534/)).level, 'warning')
      fs.chownSync(keys, 0, 65534)
      fs.chmodSync(keys, 0o770)
      assert.equal((await p.finds('file-writable', /by the group 65534/)).level, 'warning')
    })

    it("'socket-open-to-all'", async () => {
      const p = patient()
      await p.start()
      fs.chmodSync(p.lab.socket, 0o666)
      await p.finds('socket-open-to-all', /everyone can use the socket/)
    })

    it("programs: 'program-writable', 'program-missing'", async () => {
      const p = patient()
      const program = p.lab.file('tell', '#!/bin/sh\n', 0o755)
      await p.start(
        `${soundConfig}\n  t: { type: pkd, tag: TRIG, key: '${goodKey}', on-open: { command: [${program}] } }`,
      )
      fs.chmodSync(program, 0o757)
      const found = await p.finds('program-writable', /tell can be written by everyone/)
      assert.equal(found.credential, 't')
      fs.chmodSync(program, 0o644)
      await p.finds('program-missing', /is not there or cannot be run/)
      fs.rmSync(program)
      await p.finds('program-missing', /is not there or cannot be run/)
    })
  })
})
