/** `pkctl connect`: under a real ssh to a real sshd, and as a relay between streams that behave in all ways. */
import assert from 'node:assert/strict'
import * as crypto from 'node:crypto'
import { once } from 'node:events'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Background, Result, RunOptions } from '../support/commands.js'
import { dist, must, pkctl, sleep, until } from '../support/commands.js'
import { Lab, server4, server6 } from '../support/lab.js'
import { Relay } from '../support/relay.js'
import { startSshd, user } from '../support/sshd.js'
import { megabyte, pattern, ports } from '../support/streams.js'

const key = 'a secret with spaces'
const families = [
  ['IPv4', server4],
  ['IPv6', server6],
] as const

describe('pkctl connect', () => {
  let lab: Lab
  let daemon: Background
  let streams: Background
  let ssh: string[]
  const relays: Relay[] = []

  before(async () => {
    lab = await Lab.create()
    ssh = (await startSshd(lab)).options
    streams = lab.start('server', [process.execPath, path.join(dist, 'test/support/streams.js'), 'serve'])
    await streams.says(/serving/)
    await lab.serve(2222)
    await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn')
    const services = 'services:\n  ssh: { port: 22 }\n  web: { port: 2222, reject: reset }'
    const credential = `laptop: { type: pkd, tag: SSHK, key: "${key}", opens: [ssh, web], rate: none }`
    daemon = await lab.daemon(lab.config(`${services}\ncredentials:\n  ${credential}`))
    const keyFile = lab.file('key', `${key}\n`)
    lab.file(
      'config/pkctl/hosts.yaml',
      `home:\n  host: ${server4}\n  tag: SSHK\n  key-file: ${keyFile}\nboth:\n  host: server.lab\n  tag: SSHK\n  key-file: ${keyFile}\nsteps:\n  host: ${server4}\n  sequence: [7000]\nshut:\n  host: ${server4}\n  tag: SSHK\n  key-file: ${keyFile}\n  close: steps\n`,
    )
    const old = `[home]\nhost = 192.0.2.1\n\n[attic]\nhost = ${server4}\ntag = SSHK\nkey = ${key}\n\n[older]\nhost = h\nold = 1\n`
    lab.file('home/.ipt_pkd.ini', old)
  })
  after(() => lab.remove())
  afterEach(async () => {
    for (const { child } of relays.splice(0)) child.kill('SIGKILL')
    await forget()
    await lab.on(['nft', 'delete', 'table', 'inet', 'meddler'])
  })

  const nft = (text: string) => must(['ip', 'netns', 'exec', lab.server, 'nft', '-f', '-'], { input: text })
  /** Takes all grants back. */
  const forget = () => nft(['ssh-4', 'ssh-6', 'web-4', 'web-6'].map(set => `flush set inet pkctl pk-${set}\n`).join(''))

  /** Rules of a network before the server, gone after the test. */
  const meddle = (rules: readonly string[], sets: readonly string[] = []) => {
    const chain = ['chain in {', 'type filter hook prerouting priority -400', ...rules, '}']
    return nft(['table inet meddler {', ...sets, ...chain, '}'].join('\n'))
  }

  const environment = () => ({ XDG_CONFIG_HOME: `${lab.directory}/config`, HOME: `${lab.directory}/home` })
  const withKey = () => ['--tag', 'SSHK', '--key-file', `${lab.directory}/key`]
  const argv = (...args: string[]) => [process.execPath, pkctl, 'connect', ...args]
  /** To its end, with all of stdin at once. */
  const connect = (args: string[], options: RunOptions = {}): Promise<Result> =>
    lab.from(argv(...args), { ...options, env: { ...environment(), ...options.env } })
  const start = (...words: string[]): Relay => {
    const relay = new Relay(['ip', 'netns', 'exec', lab.client, ...words], environment())
    relays.push(relay)
    return relay
  }
  const to = (name: keyof typeof ports, host: string = server4) => [host, String(ports[name]), ...withKey()]
  const relayTo = (name: keyof typeof ports, host?: string) => start(...argv(...to(name, host)))
  const knocks = async () => {
    const [, accepted, refused = ''] = /knocks: (\d+) accepted, (.*)/.exec(await lab.mustPkctl('status')) ?? []
    const sum = refused.match(/\d+/g)?.reduce((total, count) => total + Number(count), 0)
    return { accepted: Number(accepted), refused: sum }
  }

  describe('as ProxyCommand', () => {
    const proxy = (host = '%h', options = withKey()) => ['-o', `ProxyCommand=${argv(host, '%p', ...options).join(' ')}`]
    const run = (words: string[]) => lab.from(words, { env: environment() })

    for (const [family, host] of families) {
      const remote = host.includes(':') ? `[${host}]` : host

      it(`lets ssh in over ${family}, which is kept out without it`, async () => {
        const plain = await run(['ssh', ...ssh, '-o', 'ConnectTimeout=2', `${user}@${host}`, 'true'])
        assert.equal(plain.status, 255)
        assert.match(plain.stderr, /Connection timed out/)
        const { status, stdout, stderr } = await run([
          'ssh',
          ...ssh,
          ...proxy(),
          `${user}@${host}`,
          'echo there; exit 3',
        ])
        assert.equal(stderr, '')
        assert.equal(stdout, 'there\n')
        assert.equal(status, 3)
        assert.match(await lab.mustPkctl('list', 'ssh'), /granted: \S+ /)
      })

      it(`brings 64 MB there and back by scp over ${family}`, async () => {
        const sent = path.join(lab.directory, 'sent')
        fs.writeFileSync(sent, crypto.randomBytes(64 * megabyte))
        const there = path.join(lab.directory, 'there')
        const back = path.join(lab.directory, 'back')
        for (const pair of [
          [sent, `${user}@${remote}:${there}`],
          [`${user}@${remote}:${there}`, back],
        ]) {
          const { status, stderr } = await run(['scp', '-q', ...ssh, ...proxy(), ...pair])
          assert.equal(status, 0, stderr)
        }
        for (const file of [there, back]) {
          assert.ok(fs.readFileSync(file).equals(fs.readFileSync(sent)), file)
          fs.rmSync(file)
        }
      })
    }

    it('takes places of hosts.yaml, and of ~/.ipt_pkd.ini where hosts.yaml has none', async () => {
      for (const place of ['home', 'attic']) {
        const { status, stdout, stderr } = await run([
          'ssh',
          ...ssh,
          ...proxy('%h', []),
          `${user}@${place}`,
          'echo',
          '$0',
        ])
        assert.equal(status, 0, stderr)
        assert.match(stdout, /sh$/m)
      }
    })

    it('says nothing when the server ends the session', async () => {
      const { status, stderr } = await run(['ssh', ...ssh, ...proxy(), `${user}@${server4}`, 'kill -9 $PPID'])
      assert.equal(status, 255)
      assert.doesNotMatch(stderr, /pkctl/)
    })

    it('tells with a wrong key why ssh does not get through', async () => {
      const wrong = ['--tag', 'SSHK', '--key-file', lab.file('wrong', 'wrong\n'), '--timeout', '2s']
      const before = await knocks()
      const { status, stdout, stderr } = await run(['ssh', ...ssh, ...proxy('%h', wrong), `${user}@${server4}`, 'true'])
      assert.equal(status, 255)
      assert.equal(stdout, '')
      assert.match(stderr, /^pkctl: error: port 22\/tcp is not open after \d+\.\d ms: no answer from 10\.77\.0\.1$/m)
      assert.match(stderr, /^pkctl: hint: wrong tag, key /m)
      // Once, and once again: no more, whatever --timeout allows.
      assert.deepEqual(await knocks(), { ...before, refused: (before.refused ?? 0) + 2 })
    })
  })

  describe('with ProxyUseFdpass', () => {
    const proxy = (host = '%h', options = withKey()) => {
      const command = argv('--fdpass', host, '%p', ...options).join(' ')
      return ['-o', 'ProxyUseFdpass=yes', '-o', `ProxyCommand=${command}`]
    }

    for (const [family, host] of families) {
      it(`ssh takes over the connection over ${family}, and pkctl ends`, async () => {
        const session = start('ssh', ...ssh, ...proxy(), `${user}@${host}`, 'echo there; cat; exit 3')
        const [greeting] = (await once(session.child.stdout, 'data')) as [Buffer]
        assert.equal(greeting.toString(), 'there\n')
        const children = fs.readFileSync(`/proc/${session.child.pid}/task/${session.child.pid}/children`, 'utf8')
        assert.equal(children.trim(), '', 'no process is between ssh and the network')
        const { stdout: sockets } = await lab.from(['ss', '-tnpH', 'state', 'established'])
        assert.match(sockets, new RegExp(`:22 .*pid=${session.child.pid},`))
        assert.doesNotMatch(sockets, /"node"/)
        const rest = session.rest()
        session.child.stdin.end(pattern)
        assert.ok((await rest).equals(pattern))
        assert.deepEqual(await session.ended, [3, null])
        assert.equal(session.stderr, '')
      })
    }

    it('tells why ssh does not get through', async () => {
      const wrong = ['--tag', 'SSHK', '--key-file', lab.file('wrong', 'wrong\n'), '--timeout', '1s']
      const { status, stderr } = await lab.from(['ssh', ...ssh, ...proxy('%h', wrong), `${user}@${server4}`, 'true'])
      assert.equal(status, 255)
      assert.match(stderr, /^pkctl: error: port 22\/tcp is not open after \d+\.\d ms: no answer from 10\.77\.0\.1$/m)
    })

    it('refuses, before it knocks, where nothing takes the connection or something is to be closed', async () => {
      const before = await knocks()
      for (const [place, out, error] of [
        ['home', '| cat', /error: stdout is no socket .*\npkctl: hint: .*ProxyUseFdpass yes/],
        [
          'shut',
          '',
          /error: --fdpass ends before the connection does, and cannot send the closing knock\npkctl: hint: remove --fdpass and/,
        ],
      ] as const) {
        const command = `${argv('--fdpass', place, '22').join(' ')} ${out}; exit \${PIPESTATUS[0]}`
        const { status, stderr } = await lab.from(['bash', '-c', command], { env: environment() })
        assert.equal(status, 2, stderr)
        assert.match(stderr, error)
      }
      assert.deepEqual(await knocks(), before)
    })
  })

  describe('where the first packets are lost', () => {
    const first = { knock: 'udp length 64', syn: 'tcp dport 22 tcp flags & (syn | ack) == syn' }
    /** Loses the first packet of each sort. */
    const lose = (...sorts: readonly (keyof typeof first)[]) =>
      meddle(
        sorts.map(sort => `${first[sort]} ip saddr != @${sort} add @${sort} { ip saddr } counter drop`),
        sorts.map(sort => `set ${sort} { type ipv4_addr; flags dynamic; }`),
      )

    for (const [what, sorts] of [
      ['the knock', ['knock']],
      ['the SYN', ['syn']],
      ['both', ['knock', 'syn']],
    ] as const) {
      it(`connects when ${what} did not arrive`, async () => {
        await lose(...sorts)
        const before = await knocks()
        const { status, stdout, stderr } = await connect([server4, '22', ...withKey()])
        assert.equal(status, 0, stderr)
        assert.match(stdout, /^SSH-2\.0-OpenSSH/)
        const lost = (await lab.on(['nft', 'list', 'table', 'inet', 'meddler'])).stdout
        assert.equal(lost.match(/counter packets 1 /g)?.length, sorts.length, lost)
        const { accepted } = await knocks()
        assert.equal(accepted - before.accepted, what === 'the SYN' ? 2 : 1)
      })
    }

    it('connects when the port is rejected, because the knock did not arrive', async () => {
      await lose('knock')
      const { status, stdout, stderr } = await connect([server4, '2222', ...withKey()], { input: 'and back' })
      assert.equal(status, 0, stderr)
      assert.equal(stdout, 'helloand back')
    })
  })

  it('takes the address that answers when a name has two', async () => {
    // A name with two addresses, for this one namespace: ip netns exec mounts /etc/netns/NAME/hosts over /etc/hosts.
    const hosts = lab.file('hosts', `${server4} server.lab\n${server6} server.lab\n`)
    const named = ['/bin/sh', '-c', `mount --bind ${hosts} /etc/hosts && exec "$@"`, 'sh']
    const granted = async () => (await lab.mustPkctl('list', 'ssh')).match(/granted: \S+/g) ?? []
    const go = async () => {
      const words = argv('both', '22', '--timeout', '10m')
      const { status, stdout, stderr } = await lab.from([...named, ...words], { env: environment() })
      assert.equal(status, 0, stderr)
      assert.match(stdout, /^SSH-2\.0/)
    }
    await go()
    // One way was enough: nothing was opened for the other.
    assert.match((await granted()).join(), /^granted: fd77::\d$/)
    await forget()
    await meddle(['meta l4proto { tcp, udp } meta nfproto ipv6 drop'])
    await go()
    assert.match((await granted()).join(), /^granted: 10\.77\.0\.\d$/)
  })

  describe('as a relay', () => {
    for (const [family, host] of families) {
      it(`passes on the end of stdin, and what the server sends after it, over ${family}`, async () => {
        const { status, stdout, stderr } = await connect(to('late', host), { input: 'x'.repeat(3 * megabyte) })
        assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: `got ${3 * megabyte}`, stderr: '' })
      })

      it(`ends stdout when the server ends, and sends on, over ${family}`, async () => {
        const relay = relayTo('first', host)
        assert.equal((await relay.rest()).toString(), 'greeting')
        assert.equal(relay.child.exitCode, null)
        const { length } = streams.output
        relay.child.stdin.write('one ')
        await sleep(50)
        relay.child.stdin.end('two')
        assert.deepEqual(await relay.ended, [0, null])
        await until(() => streams.output.includes('first: got one two', length))
        assert.equal(relay.stderr, '')
      })
    }

    it('ends a pipe on stdout, too, which its reader sees while stdin goes on', async () => {
      const relay = start('/bin/sh', '-c', '"$@" | { cat; echo " and end"; }', 'sh', ...argv(...to('first')))
      let got = ''
      relay.child.stdout.on('data', (chunk: Buffer) => (got += chunk.toString()))
      await until(() => got === 'greeting and end\n')
      relay.child.stdin.end()
    })

    it('is silent when what it sends is not taken after the end of the server', async () => {
      const relay = relayTo('gone')
      assert.equal((await relay.rest()).toString(), 'greeting')
      setInterval(() => relay.child.stdin.write('x'), 20).unref()
      assert.deepEqual(await relay.ended, [0, null])
      assert.equal(relay.stderr, '')
    })

    it('loses and adds no byte', async () => {
      const relay = relayTo('echo')
      const all = relay.rest()
      for (let i = 0; i < 64; i++) {
        if (!relay.child.stdin.write(pattern)) await once(relay.child.stdin, 'drain')
      }
      relay.child.stdin.end()
      const got = await all
      assert.equal(got.length, 64 * megabyte)
      for (let i = 0; i < 64; i++) assert.ok(pattern.equals(got.subarray(i * megabyte, (i + 1) * megabyte)), `MB ${i}`)
      assert.deepEqual(await relay.ended, [0, null])
    })

    it('takes files for stdin and stdout', async () => {
      const from = lab.file('from', '')
      fs.writeFileSync(from, pattern)
      const command = `"$@" <${from} >${lab.directory}/to`
      const { status, stderr } = await lab.from(['/bin/sh', '-c', command, 'sh', ...argv(...to('echo'))])
      assert.equal(status, 0, stderr)
      assert.ok(fs.readFileSync(`${lab.directory}/to`).equals(pattern))
    })

    it('reads no faster than the other side takes', async () => {
      const idle = relayTo('echo')
      const fast = relayTo('source')
      const wall = relayTo('wall')
      for (let i = 0; i < 64; i++) wall.child.stdin.write(pattern)
      await until(() => ['echo', 'source', 'wall'].every(name => streams.output.includes(`${name}: connected`)))
      const room = 24 * megabyte
      const usual = await idle.memory()
      assert.ok((await fast.memory()) < usual + room)
      assert.ok((await wall.memory()) < usual + room)
      assert.ok(wall.child.stdin.writableLength > 64 * megabyte - room)
      fast.child.stdin.end()
      assert.equal((await fast.rest()).length, 64 * megabyte)
      assert.deepEqual(await fast.ended, [0, null])
    })

    it('goes on in one direction while the other one is held up', async () => {
      const relay = relayTo('both')
      for (let i = 0; i < 8; i++) relay.child.stdin.write(pattern)
      relay.child.stdin.end()
      await streams.says(/both: got all/)
      const got = await relay.rest()
      assert.equal(got.length, 8 * megabyte)
      assert.deepEqual(await relay.ended, [0, null])
    })

    it('ends without a word when nobody reads stdout any more', async () => {
      const relay = relayTo('source')
      await once(relay.child.stdout, 'data')
      relay.child.stdout.destroy()
      assert.deepEqual(await relay.ended, [0, null])
      assert.equal(relay.stderr, '')
    })

    it('tells that a connection was lost', async () => {
      const relay = relayTo('reset')
      const [greeting] = (await once(relay.child.stdout, 'data')) as [Buffer]
      assert.equal(greeting.toString(), 'greeting')
      relay.child.stdin.write('x')
      assert.deepEqual(await relay.ended, [1, null])
      assert.match(relay.stderr, /^pkctl: error: the connection to 10\.77\.0\.1 port 2207 was lost: .*ECONNRESET\n$/)
    })

    for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT'] as const) {
      it(`${signal} ends it, and its connection`, async () => {
        const relay = relayTo('echo')
        relay.child.stdin.write('x')
        await once(relay.child.stdout, 'data')
        const { length } = streams.output
        relay.child.kill(signal)
        assert.deepEqual(await relay.ended, [null, signal])
        await until(() => streams.output.includes('echo: closed', length))
        assert.equal(relay.stderr, '')
      })
    }

    it('a signal ends it while it still tries', async () => {
      const before = daemon.output.length
      const wrong = ['--tag', 'SSHK', '--key-file', lab.file('wrong', 'wrong\n')]
      const relay = start(...argv(server4, '22', ...wrong))
      await until(() => daemon.output.includes('bad-hash', before))
      relay.child.kill('SIGTERM')
      assert.deepEqual(await relay.ended, [null, 'SIGTERM'])
    })
  })

  describe('the key', () => {
    it('is asked for on the terminal, not shown, and not taken from stdin', async () => {
      const out = path.join(lab.directory, 'answer')
      const input = lab.file('input', 'not the key\n')
      const command = `${argv(server4, '2222', '--tag', 'SSHK').join(' ')} <${input} >${out} 2>&1`
      // script(1) makes the terminal; what is typed there comes back on its stdout if it is echoed.
      const terminal = start('script', '-qec', command, '/dev/null')
      let shown = ''
      terminal.child.stdout.on('data', (chunk: Buffer) => (shown += chunk.toString()))
      await until(() => shown.includes('key: '))
      terminal.child.stdin.write(`${key}\r`)
      assert.deepEqual(await terminal.ended, [0, null])
      assert.equal(fs.readFileSync(out, 'utf8'), 'hellonot the key\n')
      assert.doesNotMatch(shown, /secret/)
    })

    it('is missed where there is no terminal', async () => {
      const { status, stdout, stderr } = await lab.from(['setsid', '--wait', ...argv(server4, '22')], { input: key })
      assert.equal(status, 2)
      assert.equal(stdout, '')
      assert.match(
        stderr,
        /^pkctl: error: no key was given, and there is no terminal to ask for it\npkctl: hint: .*--key-file/,
      )
    })
  })

  const mistakes: readonly [string, () => string[], number, RegExp][] = [
    ['a port where nobody listens', () => [server4, '9', ...withKey(), '--timeout', '1s'], 1, /10\.77\.0\.1 refuses$/m],
    ['no route', () => ['192.0.2.1', '22', ...withKey()], 1, /no knock could be sent to 192\.0\.2\.1/],
    ['an unknown host', () => ['no.such.invalid', '22', ...withKey()], 1, /no\.such\.invalid is not known/],
    ['a port that is none', () => [server4, 'ssh', ...withKey()], 2, /expected a port/],
    ['a knock port that is none', () => [server4, '22', ...withKey(), '--knock-port', '0'], 2, /expected a port/],
    ['the wrong family', () => [server4, '22', ...withKey(), '-6'], 2, /is an IPv4 address/],
    ['a key for a sequence', () => ['steps', '22', ...withKey()], 2, /a sequence has no tag, key or port of a knock/],
    ['the old format of ipt_pkd', () => ['older', '22'], 1, /ipt_pkd\.ini: \[older\]: asks for the old format/],
  ]
  for (const [name, args, want, error] of mistakes) {
    it(`one clear line for ${name}`, async () => {
      const { status, stdout, stderr } = await connect(args(), { input: 'not for stderr' })
      assert.equal(status, want, stderr)
      assert.match(stderr, /^pkctl: error: /)
      assert.match(stderr, error)
      assert.ok(stderr.trimEnd().split('\n').length <= 2, stderr)
      assert.equal(stdout, '')
    })
  }

  it('knocks on the port that --knock-port names', async () => {
    await meddle(['udp dport 5353 counter'])
    assert.equal((await connect([server4, '22', ...withKey(), '--knock-port', '5353'])).status, 0)
    assert.match((await lab.on(['nft', 'list', 'table', 'inet', 'meddler'])).stdout, /counter packets 1 /)
  })
})
