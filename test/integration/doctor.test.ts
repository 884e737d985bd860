/** `pkctl doctor` on the real kernel: each thing that it finds is made to be there, and is not found before. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import type { Finding } from '../../src/doctor/finding.js'
import { must, terminalEnvironment } from '../support/commands.js'
import { idsOf, patientOfSuite, soundConfig } from '../support/doctor.js'

describe('doctor', () => {
  const patient = patientOfSuite()

  describe('says', () => {
    it('nothing of a machine on which all is well, and changes nothing', async () => {
      const p = patient()
      // The counters and elements of a self-test would come and go between the listings.
      await p.start(`self-test: off\n${soundConfig}`)
      const ruleset = async () => (await p.lab.on(['nft', '-s', 'list', 'ruleset'])).stdout
      const before = await ruleset()
      const { status, stdout } = await p.lab.on(p.argv)
      assert.equal(status, 0)
      assert.match(stdout, /^(no problems found|(1 warning, )?\d notes?|1 warning)$/m)
      assert.equal(await ruleset(), before)
      assert.match(await p.lab.mustPkctl('status'), /knocks: 0 accepted/)
    })

    it('sentences and advice, and how many there are; colours only to a terminal that wants them', async () => {
      const p = patient()
      p.lab.config(`${soundConfig}\n  old: { type: pkd, tag: OLD, key: test, opens: [ssh], rate: none }`)
      const argv = p.argv
      const plain = await p.lab.on(argv)
      assert.equal(plain.status, 1)
      assert.match(
        plain.stdout,
        /^error: the key of old has 4 bytes: .* \(weak-key\)\n {2}what to do: pkctl keygen makes one/m,
      )
      assert.match(plain.stdout, /\n\n\d errors, .*notes?\n$/)
      assert.ok(!plain.stdout.includes('\u001b'))
      const onTerminal = (env: NodeJS.ProcessEnv) =>
        p.lab.on(['script', '-qec', argv.join(' '), '/dev/null'], {
          env: { ...terminalEnvironment, ...env },
        })
      assert.ok((await onTerminal({})).stdout.includes('\u001b[31merror:\u001b[39m'))
      assert.ok(!(await onTerminal({ NO_COLOR: '1' })).stdout.includes('\u001b'))
    })

    it('by its exit status whether there is an error, or with --strict a warning', async () => {
      const p = patient()
      await p.start()
      await p.nft('add table inet other', 'add chain inet other in { type filter hook input priority 0; policy drop; }')
      assert.equal((await p.run()).status, 0)
      assert.equal((await p.run(['--strict'])).status, 1)
      await p.daemon?.stop()
      assert.equal((await p.run()).status, 1)
      assert.equal((await p.run(['--no-such-option'])).status, 2)
    })
  })

  describe('finds of the machine', () => {
    /** A directory with only these programs, as PATH. */
    function only(...programs: string[]): NodeJS.ProcessEnv {
      const directory = path.join(patient().lab.directory, 'bin')
      fs.mkdirSync(directory)
      for (const name of programs) {
        const found = ['/usr/sbin', '/usr/bin'].map(place => path.join(place, name)).find(file => fs.existsSync(file))
        fs.symlinkSync(found ?? assert.fail(name), path.join(directory, name))
      }
      return { PATH: directory }
    }
    /** The doctor, with another PATH than `ip netns exec` needs. */
    const withPath = (env: NodeJS.ProcessEnv) => ['env', `PATH=${env['PATH'] ?? ''}`]

    it("programs that are not there: 'no-nft', 'no-flock'", async () => {
      const p = patient()
      p.lab.config(soundConfig)
      const found = await p.findings([], {}, withPath(only()))
      for (const id of ['no-nft', 'no-flock', 'not-looked-at'] as const) assert.ok(idsOf(found).includes(id), id)
    })

    it("no way to the queue: 'no-way-to-queue'", async context => {
      const p = patient()
      if (p.native) return context.skip("the kernel has nft's queue statement")
      p.lab.config(soundConfig)
      const found = idsOf(await p.findings([], {}, withPath(only('nft', 'flock', 'sh', 'cat'))))
      assert.ok(found.includes('no-way-to-queue'))
      assert.ok(!found.includes('no-flock'))
      assert.ok((await p.findings()).some(({ id }) => id === 'queue-by-iptables'))
    })

    it("a library that cannot be loaded: 'no-libnetfilter-queue'", async () => {
      const p = patient()
      p.lab.config(soundConfig)
      const library = (await must(['ldconfig', '-p']))
        .split('\n')
        .find(line => line.includes('libnetfilter_queue.so.1'))
      const file = fs.realpathSync(library?.split('=> ')[1] ?? assert.fail('no library'))
      // ip netns exec has a mount namespace of its own.
      const hide = ['sh', '-c', `mount --bind /dev/null ${file} && exec "$@"`, 'sh']
      await p.finds('no-libnetfilter-queue', /libnetfilter_queue\.so\.1 cannot be loaded/, [], {}, hide)
    })

    it("root without power, and users: 'no-net-admin', 'not-looked-at'", async () => {
      const p = patient()
      p.lab.config(soundConfig)
      const weak = ['setpriv', '--bounding-set=-net_admin']
      await p.finds('no-net-admin', /CAP_NET_ADMIN/, [], {}, weak)
      fs.chmodSync(p.lab.directory, 0o755)
      const user = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
      const found = await p.findings([], {}, user)
      const notSeen = found.filter(({ id }) => id === 'not-looked-at').map(({ message }) => message)
      assert.ok(
        notSeen.some(text => /the configuration .* could not be checked: permission denied/.test(text)),
        String(notSeen),
      )
      assert.ok(
        notSeen.some(text => text.startsWith('the ruleset could not be checked')),
        String(notSeen),
      )
      assert.ok(
        found.every(({ level }) => level !== 'error'),
        JSON.stringify(found),
      )
    })

    it("'ruleset-flushed-at-start'", async () => {
      const p = patient()
      p.lab.config(soundConfig)
      const conf = p.lab.file('nftables.conf', '#!/usr/sbin/nft -f\nflush ruleset\n')
      const enabled = [
        `mount --bind ${conf} /etc/nftables.conf`,
        'mount -t tmpfs tmpfs /etc/systemd/system',
        'mkdir /etc/systemd/system/sysinit.target.wants',
        'ln -s /lib/systemd/system/nftables.service /etc/systemd/system/sysinit.target.wants',
        'exec "$@"',
      ]
      await p.finds('ruleset-flushed-at-start', /nftables\.service/, [], {}, ['sh', '-c', enabled.join(' && '), 'sh'])
      const disabled = enabled.filter(line => !line.startsWith('ln'))
      assert.ok(
        !(await p.findings([], {}, ['sh', '-c', disabled.join(' && '), 'sh'])).some(
          ({ id }) => id === 'ruleset-flushed-at-start',
        ),
      )
    })
  })

  describe('finds of the configuration', () => {
    it("that there is none, or a wrong one: 'no-configuration', 'configuration-invalid'", async () => {
      const p = patient()
      assert.deepEqual(idsOf(await p.findings()), ['no-configuration'])
      p.lab.config('services: { ssh: { port: 22, prot: 1 } }')
      const found = await p.findings()
      assert.match(found.find(({ id }) => id === 'configuration-invalid')?.message ?? '', /pkctl\.yaml:\d+:\d+: .*prot/)
      p.lab.config('')
      await p.finds('nothing-guarded', /no service/)
    })

    it('weak secrets, and says none of them', async () => {
      const p = patient()
      p.lab.file('sequences', ' 7000,9000:udp,8000\n')
      p.lab.config(`${soundConfig}
  a: { type: pkd, tag: A, key: hunter2, opens: [ssh], skew: -1 }
  b: { type: one-time, sequences-file: sequences, opens: [ssh] }
  c: { type: rotating, open-secret: hunter2, digest: md5, range: 1-200, opens: [ssh] }`)
      const { stdout } = await p.run()
      const ids = (JSON.parse(stdout) as Finding[]).map(({ id }) => id)
      for (const id of [
        'weak-key',
        'any-clock',
        'few-sequences',
        'weak-secret',
        'md5-digest',
        'small-range',
      ] as const) {
        assert.ok(ids.includes(id), id)
      }
      assert.doesNotMatch(stdout, /hunter2|7000/)
    })
  })
})
