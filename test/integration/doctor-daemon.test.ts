/** What `pkctl doctor` finds of the daemon and its services. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { dist, until } from '../support/commands.js'
import type { Patient } from '../support/doctor.js'
import { goodKey, idsOf, patientOfSuite, soundConfig } from '../support/doctor.js'
import { knockHex } from '../support/knocks.js'
import type { Lab } from '../support/lab.js'
import { client4, client6, lockFile, server4, server6, stranger4 } from '../support/lab.js'

/** The daemon cannot put back what is broken while somebody else has the lock of changes. */
async function undisturbed({ lab }: { readonly lab: Lab }, work: () => Promise<void>): Promise<void> {
  const holder = ['sh', '-c', `exec flock --no-fork ${lockFile} sh -c 'echo held; exec sleep 60'`]
  const held = lab.start('server', holder)
  await held.says(/held/)
  try {
    await work()
  } finally {
    await held.stop()
  }
}

/** Connections to port 22 of the server from port 50000 of these addresses, open until the result is stopped. */
async function connectTo22({ lab }: Pick<Patient, 'lab'>, addresses: Readonly<Record<string, string>>) {
  const listen = `require('net').createServer(socket => socket.on('error', () => {}).resume()).listen(22, '::', () => console.log('listening'))`
  const listener = lab.start('server', [process.execPath, '-e', listen])
  await listener.says(/listening/)
  const connect = `for (const [localAddress, host] of Object.entries(JSON.parse(process.argv[1])))
    require('net').connect({ host, port: 22, localAddress, localPort: 50000 }, () => console.log('connected'))`
  const client = lab.start('client', [process.execPath, '-e', connect, JSON.stringify(addresses)])
  await client.says(/(connected\s+){3}/)
  return {
    async stop() {
      await client.stop()
      await listener.stop()
    },
  }
}

describe('doctor, of the daemon and services', () => {
  const patient = patientOfSuite()

  describe('finds of the daemon', () => {
    it("that it does not run, and what a crash left: 'daemon-not-running', 'socket-dead', 'queue-unread'", async () => {
      const p = patient()
      p.lab.config(soundConfig)
      const stopped = idsOf(await p.findings())
      assert.ok(stopped.includes('daemon-not-running') && stopped.includes('service-not-in-kernel'))
      assert.ok(!stopped.includes('socket-dead'))
      await p.start()
      p.daemon?.child.kill('SIGKILL')
      await p.daemon?.exited
      assert.deepEqual(idsOf(await p.findings()), ['daemon-not-running', 'queue-unread', 'socket-dead'])
    })

    it("that it hangs: 'daemon-mute'", async () => {
      const p = patient()
      await p.start()
      p.daemon?.child.kill('SIGSTOP')
      await p.finds('daemon-mute', /does not answer/)
    })

    it("that it is elsewhere: 'daemon-elsewhere', 'daemon-other-configuration'", async () => {
      const p = patient()
      await p.start()
      await p.finds('daemon-elsewhere', /process \d+, reads queue 62/, [
        '--socket',
        path.join(p.lab.directory, 'other.sock'),
      ])
      const other = p.lab.file('other.yaml', fs.readFileSync(path.join(p.lab.directory, 'pkctl.yaml'), 'utf8'))
      await p.finds('daemon-other-configuration', /pkctld reads .*pkctl\.yaml, and pkctl doctor reads .*other\.yaml/, [
        '--config',
        other,
      ])
    })

    it("that its file has changed: 'configuration-changed', until it is read again", async () => {
      const p = patient()
      await p.start()
      p.lab.file('conf.d/more.yaml', 'open-ports: [80]\n')
      await p.finds('configuration-changed', /a file of conf\.d was changed after pkctld read it/)
      await p.lab.mustPkctl('reload')
      await p.isSound()
    })

    it("another program in its place: 'queue-taken'", async () => {
      const p = patient()
      p.lab.config(soundConfig)
      const script = `import('${dist}/src/queue/libraries.js').then(({ openLibraries }) => {
        const libraries = openLibraries()
        libraries.pointer('nfq_create_queue', libraries.pointer('nfq_open'), 62, libraries.null, libraries.null)
        console.log('bound')
        setInterval(() => undefined, 60000)
      })`
      const other = p.lab.start('server', [process.execPath, '-e', script])
      await other.says(/bound/)
      await p.finds('queue-taken', /queue 62 is read by process \d+ \(\S+\)/)
      await other.stop()
    })

    it("its rules gone: 'packet-path-missing', 'service-not-in-kernel', until the reload that it advises", async () => {
      const p = patient()
      await p.start()
      await undisturbed(p, async () => {
        // An empty table: where there is none, the daemon makes the services without the lock.
        await p.nft('flush ruleset; add table inet pkctl')
        const ids = idsOf(await p.findings())
        assert.deepEqual(ids, ['packet-path-missing', 'service-not-in-kernel'])
      })
      await p.lab.mustPkctl('reload')
      await p.isSound()
    })

    it("the rule to the queue gone: 'queue-rule-missing'", async context => {
      const p = patient()
      if (p.native) return context.skip("the kernel has nft's queue statement")
      await p.start()
      await undisturbed(p, async () => {
        await p.nft('delete table ip mangle')
        await p.finds('queue-rule-missing', /table mangle/)
      })
      await p.lab.mustPkctl('reload')
      await p.isSound()
    })

    it("that it sees no changes: 'ruleset-not-watched', until nft can be asked for them", async () => {
      const p = patient()
      const blind = p.lab.file('blind/blind', '')
      const nft = '#!/bin/sh\n[ "$1" = monitor ] && [ -e "${0%/*}/blind" ] && exit 1\nexec /usr/sbin/nft "$@"\n'
      const programs = path.dirname(p.lab.file('blind/nft', nft, 0o755))
      const env = { ...process.env, PATH: `${programs}:${process.env['PATH']}` }
      p.daemon = p.lab.startDaemon(p.lab.config(soundConfig), { env })
      await p.daemon.says(/listening on queue/)
      await until(async () => idsOf(await p.findings()).includes('ruleset-not-watched'))
      await p.finds('ruleset-not-watched', /ports that they open stay open/)
      fs.rmSync(blind)
      await until(async () => idsOf(await p.findings()).length === 0)
    })

    it("knocks that nobody answered: 'queue-overflow'", async () => {
      const p = patient()
      const sequence = '  c: { type: sequence, sequence: [7000, 15000, 9000, 12000, 8000], opens: [ssh] }'
      await p.start(`${soundConfig}\n${sequence}\nqueue: { max-length: 16 }`)
      p.daemon?.child.kill('SIGSTOP')
      const knock = { host: server4, port: 4000, from: client4, hex: knockHex({ key: goodKey, port: 4000 }) }
      const step = { host: server4, port: 7000, from: client4, timeout: 30 }
      await p.lab.peer(...Array.from({ length: 30 }, () => ({ send: knock })), { connect: step }, { connect: step })
      p.daemon?.child.kill('SIGCONT')
      // 14 knocks and 2 steps found no place.
      await p.finds('queue-overflow', /^queue 62 has recently left 16 knocks without an answer/)
    })

    it("strays: 'foreign-queue', 'queue-shared'", async () => {
      const p = patient()
      await p.start()
      await p.iptables('-A INPUT -p udp --dport 9999 -j NFQUEUE --queue-num 62 --queue-bypass')
      await p.finds('foreign-queue', /iptables-nft \(chain INPUT of table ip filter\) also sends packets to queue 62/)
      const send = `require('dgram').createSocket('udp4').send('x', 9999, '10.77.0.1', () => process.exit())`
      await p.lab.from([process.execPath, '-e', send])
      await until(async () => idsOf(await p.findings()).includes('queue-shared'))
    })
  })

  describe('finds of services', () => {
    it("what the kernel has otherwise: 'service-differs', 'service-not-in-configuration'", async () => {
      const p = patient()
      await p.start()
      await p.lab.mustPkctl('init', 'ssh', '--port', '22', '--syn', '--window', '90')
      await p.lab.mustPkctl('init', 'web', '--port', '80', '--syn')
      const differs = await p.finds('service-differs', /window: 90 -> 60/)
      assert.equal(differs.service, 'ssh')
      assert.equal((await p.finds('service-not-in-configuration', /80\/tcp is open/)).service, 'web')
    })

    it("rules that were edited: 'service-damaged'", async () => {
      const p = patient()
      await p.start()
      await undisturbed(p, async () => {
        await p.nft('flush chain inet pkctl gate-input')
        await p.finds('service-damaged', /22\/tcp may be open/)
      })
    })

    it("what they do not close, and whom they cut off: 'watch-only', 'cuts-connections'", async () => {
      const p = patient()
      await p.lab.mustPkctl('init', 'web', '--port', '80', '--syn', '--accept')
      await p.lab.mustPkctl('init', 'ssh', '--port', '22')
      await p.finds('watch-only', /80\/tcp is open to everyone/)
      assert.equal((await p.finds('cuts-connections', /every packet/)).service, 'ssh')
    })

    it("sets that fill up: 'set-nearly-full'", async () => {
      const p = patient()
      await p.start()
      const members = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4']
      await p.nft(
        'add set inet pkctl small { type ipv4_addr; size 5; }',
        `add element inet pkctl small { ${members.join(', ')} }`,
      )
      await p.finds('set-nearly-full', /small holds 4 of 5/)
    })

    it("that one's own session would be shut out, also behind sudo: 'session-shut-out'", async () => {
      const p = patient()
      const addresses: Record<string, string> = { [client4]: server4, [client6]: server6, [stranger4]: server4 }
      const sessions = await connectTo22(p, addresses)
      await p.start()
      type How = Parameters<Patient['findings']>
      const told = (address: string) => `SSH_CONNECTION=${address} 50000 ${addresses[address]} 22`
      // As sshd starts a shell; and from there by sudo, which takes the variable away.
      const direct = (address: string): How => [[], {}, ['env', told(address)]]
      const withoutIt = ['sh', '-c', 'env -u SSH_CONNECTION "$@"; exit $?', 'sh']
      const bySudo = (address: string): How => [[], {}, ['env', told(address), ...withoutIt]]
      for (const by of [direct, bySudo]) {
        await p.finds('session-shut-out', /from 10\.77\.0\.2, where service ssh/, ...by(client4))
        await p.finds('session-shut-out', /from fd77::2/, ...by(client6))
      }
      await p.lab.mustPkctl('add', client4, '--service', 'ssh')
      await p.lab.mustPkctl('add', 'fd77:0::2', '--service', 'ssh')
      for (const address of [client4, client6]) {
        assert.deepEqual(idsOf(await p.findings(...direct(address))), [])
        assert.deepEqual(idsOf(await p.findings(...bySudo(address))), [])
      }
      await p.finds('session-shut-out', /10\.77\.0\.3/, ...bySudo(stranger4))
      await sessions.stop()
      assert.deepEqual(idsOf(await p.findings(...direct(stranger4))), [], 'a session that has ended')
    })
  })
})
