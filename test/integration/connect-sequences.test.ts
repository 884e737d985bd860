/** `pkctl connect` and `pkctl knock` with places that have sequences: opening, and closing however it ends. */
import assert from 'node:assert/strict'
import path from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { rotatingSteps } from '../../src/knock/rotating.js'
import { formatStep } from '../../src/knock/step.js'
import type { Background, Result, RunOptions } from '../support/commands.js'
import { dist, must, pkctl, until } from '../support/commands.js'
import { Lab, server4, server6 } from '../support/lab.js'
import { Relay } from '../support/relay.js'
import { startSshd, user } from '../support/sshd.js'
import { ports } from '../support/streams.js'

const families = [
  ['v4', server4],
  ['v6', server6],
] as const

/** A grant that is closed before the daemon looks for it in the kernel is told in other words. */
const opens = 'opens|is accepted for'

describe('places with sequences', () => {
  let lab: Lab
  let daemon: Background
  let ssh: string[]
  const relays: Relay[] = []

  before(async () => {
    lab = await Lab.create()
    ssh = (await startSshd(lab)).options
    const streams = lab.start('server', [process.execPath, path.join(dist, 'test/support/streams.js'), 'serve'])
    await streams.says(/serving/)
    await lab.serve(2222)
    const config = [
      'services:',
      '  ssh: { port: 22 }',
      '  web: { port: 2222, reject: reset }',
      // Nobody connects to it: its grants tell that the closing knock of a fixed sequence was right.
      '  witness: { port: 2223 }',
      'credentials:',
      '  hourly: { type: rotating, open-secret: "0123", close-secret-file: closing, grace: 60, opens: [ssh, web] }',
      '  door: { type: sequence, sequence: [7001, "8001:udp", 7000], opens: [ssh, web] }',
      '  bye: { type: sequence, sequence: [9101, 9103, "9102:udp"], opens: [witness] }',
      '  laptop: { type: pkd, tag: SSHK, key: a key, opens: [ssh, web], rate: none }',
    ]
    lab.file('closing', 'shut the door\n')
    daemon = await lab.daemon(lab.config(config.join('\n')))
    const secrets = `open-secret: 0123, close-secret-file: ${lab.directory}/closing`
    const fixed = 'sequence: [7001, 8001:udp, 7000]'
    const places = families.flatMap(([family, host]) => [
      `hourly-${family}: { host: '${host}', ${secrets} }`,
      `door-${family}: { host: '${host}', ${fixed}, close-sequence: [9101, 9103, 9102:udp] }`,
      `pkd-${family}: { host: '${host}', tag: SSHK, key: a key, close: bye-${family} }`,
      `bye-${family}: { host: '${host}', sequence: [9101, 9103, 9102:udp] }`,
    ])
    const more = [
      `both: { host: server.lab, ${secrets} }`,
      `plain: { host: ${server4}, ${fixed} }`,
      `slow: { host: ${server4}, ${fixed}, delay: 300 }`,
      `slower: { host: ${server4}, ${fixed}, delay: 5000, close: bye-v4 }`,
      `stuck: { host: ${server4}, ${fixed}, close: nowhere }`,
      `crossed: { host: ${server4}, ${fixed}, close: bye-v6 }`,
      `local: { host: ${server4}, open-secret: 0123, digest: md5, range: 1000-2000, hour: local }`,
      'nowhere: { host: 192.0.2.1, sequence: [7000] }',
      `keyless: { host: ${server4}, ${fixed}, close: missing }`,
      `missing: { host: ${server4}, open-secret-file: /nowhere/secret }`,
      `hollow: { host: ${server4}, open-secret-file: ${lab.file('hollow', '\n')} }`,
      `muddled: { host: ${server4}, ${fixed}, key: a key }`,
    ]
    lab.file('config/pkctl/hosts.yaml', [...places, ...more].join('\n'))
  })
  after(() => lab.remove())
  afterEach(async () => {
    for (const { child } of relays.splice(0)) child.kill('SIGKILL')
    const sets = ['ssh', 'web', 'witness'].flatMap(service => [`pk-${service}-4`, `pk-${service}-6`])
    await nft(sets.map(set => `flush set inet pkctl ${set}\n`).join(''))
    await lab.on(['nft', 'delete', 'table', 'inet', 'meddler'])
  })

  const nft = (text: string) => must(['ip', 'netns', 'exec', lab.server, 'nft', '-f', '-'], { input: text })
  const environment = () => ({ XDG_CONFIG_HOME: `${lab.directory}/config`, HOME: `${lab.directory}/home` })
  const argv = (...args: string[]) => [process.execPath, pkctl, ...args]
  const run = (words: readonly string[], options: RunOptions = {}): Promise<Result> =>
    lab.from(words, { ...options, env: { ...environment(), ...options.env } })
  const mine = (...args: string[]) => run(argv(...args))
  const start = (...words: string[]): Relay => {
    const relay = new Relay(['ip', 'netns', 'exec', lab.client, ...words], environment())
    relays.push(relay)
    return relay
  }
  const relayTo = (place: string, name: keyof typeof ports, ...flags: string[]) =>
    start(...argv('connect', place, String(ports[name]), ...flags))

  /** Sources that may use the service, as `pkctl list --json` has them. */
  const granted = async (service: string): Promise<string[]> => {
    const { services } = JSON.parse(await lab.mustPkctl('list', service, '--json')) as {
      services: { grants: { source: string }[] }[]
    }
    return services.flatMap(({ grants }) => grants.map(({ source }) => source))
  }
  const open = async (service = 'ssh') => assert.notDeepEqual(await granted(service), [])
  const closed = (service = 'ssh') => until(async () => (await granted(service)).length === 0)
  const witnessed = () => until(async () => (await granted('witness')).length > 0)

  describe('under ssh', () => {
    const proxy = ['-o', `ProxyCommand=${argv('connect', '%h', '%p').join(' ')}`]
    const sshTo = (place: string, command: string) => run(['ssh', ...ssh, ...proxy, `${user}@${place}`, command])
    const listing = argv('list', 'ssh').join(' ')

    for (const [family] of families) {
      it(`a rotating sequence opens, and closes when ssh has ended, over ${family}`, async () => {
        const { status, stdout, stderr } = await sshTo(`hourly-${family}`, `${listing}; exit 3`)
        assert.equal(stderr, '')
        assert.equal(status, 3)
        assert.match(stdout, /granted: \S+ .* by knock/)
        await closed()
        await closed('web')
      })

      it(`a fixed sequence opens and closes over ${family}`, async () => {
        const { status, stdout } = await sshTo(`door-${family}`, 'echo there')
        assert.deepEqual({ status, stdout }, { status: 0, stdout: 'there\n' })
        await open()
        await witnessed()
      })

      it(`a PKD knock opens, and the sequence of another place closes, over ${family}`, async () => {
        const { status, stdout } = await sshTo(`pkd-${family}`, 'echo there')
        assert.deepEqual({ status, stdout }, { status: 0, stdout: 'there\n' })
        await witnessed()
      })
    }

    it('closes when the server ends the session, or ssh is ended by a signal', async () => {
      assert.equal((await sshTo('hourly-v4', 'kill -9 $PPID')).status, 255)
      await closed()
      for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
        const session = start('ssh', ...ssh, ...proxy, `${user}@hourly-v4`, 'echo there; sleep 20')
        await until(() => session.child.stdout.readableLength > 0)
        await open()
        session.child.kill(signal)
        await session.ended
        await closed()
      }
    })
  })

  describe('are knocked anew', () => {
    const lose = (rule: string) =>
      nft(
        `table inet meddler {\nset lost { type ipv4_addr; flags dynamic; }\nchain in {\ntype filter hook prerouting priority -400\n${rule} ip saddr != @lost add @lost { ip saddr } counter drop\n}\n}`,
      )

    for (const place of ['slow', 'hourly-v4']) {
      for (const [what, rule] of [
        ['the first knock', 'tcp flags syn'],
        ['the connection', 'tcp dport 22 tcp flags syn'],
      ] as const) {
        it(`${place}, when ${what} was lost`, async () => {
          await lose(rule)
          const { status, stdout, stderr } = await mine('connect', place, '22')
          assert.equal(status, 0, stderr)
          assert.match(stdout, /^SSH-2\.0/)
          assert.match((await lab.on(['nft', 'list', 'table', 'inet', 'meddler'])).stdout, /counter packets 1 /)
        })
      }
    }

    it('when the port is rejected, because a knock in the middle was lost', async () => {
      await lose('udp dport 8001')
      const { status, stdout, stderr } = await run(argv('connect', 'plain', '2222'), { input: 'and back' })
      assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: 'helloand back', stderr: '' })
    })
  })

  it('where a name has two addresses, open and close for the one that answers', async () => {
    const hosts = lab.file('hosts', `${server4} server.lab\n${server6} server.lab\n`)
    const named = ['/bin/sh', '-c', `mount --bind ${hosts} /etc/hosts && exec "$@"`, 'sh']
    const go = async () => {
      const from = daemon.output.length
      const { status, stdout, stderr } = await run([...named, ...argv('connect', 'both', '22')])
      assert.deepEqual({ status, stderr }, { status: 0, stderr: '' })
      assert.match(stdout, /^SSH-2\.0/)
      await closed()
      const told = new RegExp(`knock by hourly from (\\S+) (${opens}|closes)`, 'g')
      return [...daemon.output.slice(from).matchAll(told)].map(
        ([, source = '', what]) => `${what === 'closes' ? what : 'opens'} ${source.includes(':') ? 6 : 4}`,
      )
    }
    assert.deepEqual(await go(), ['opens 6', 'closes 6'])
    await nft(
      'table inet meddler { chain in { type filter hook prerouting priority -400; meta nfproto ipv6 meta l4proto tcp drop; }; }',
    )
    assert.deepEqual(await go(), ['opens 4', 'closes 4'])
  })

  describe('are closed after the relay', () => {
    it('when both sides have ended, and the exit status is 0', async () => {
      const relay = relayTo('hourly-v4', 'first')
      assert.equal((await relay.rest()).toString(), 'greeting')
      await open()
      relay.child.stdin.end('bye')
      assert.deepEqual(await relay.ended, [0, null])
      assert.equal(relay.stderr, '')
      // It is over only when it is closed.
      assert.match(daemon.output, /closes/)
      await closed()
    })

    it('when the connection is lost, and the exit status is 1', async () => {
      const relay = relayTo('hourly-v6', 'reset')
      await until(() => relay.child.stdout.readableLength > 0)
      await open()
      relay.child.stdin.write('x')
      assert.deepEqual(await relay.ended, [1, null])
      assert.match(relay.stderr, /^pkctl: error: the connection to fd77::1 port 2207 was lost: .*ECONNRESET\n$/)
      await closed()
    })

    it('when nobody reads stdout any more', async () => {
      const relay = relayTo('hourly-v4', 'source')
      await until(() => relay.child.stdout.readableLength > 0)
      await open()
      relay.child.stdout.destroy()
      assert.deepEqual(await relay.ended, [0, null])
      assert.equal(relay.stderr, '')
      await closed()
    })

    it('when the port did not open', async () => {
      const from = daemon.output.length
      const { status, stderr } = await mine('connect', 'hourly-v4', '9', '--timeout', '1s')
      assert.equal(status, 1)
      assert.match(stderr, /^pkctl: error: port 9\/tcp is not open after /)
      for (const what of [opens, 'closes']) {
        await until(() => new RegExp(`knock by hourly from \\S+ (${what})`).test(daemon.output.slice(from)))
      }
      assert.deepEqual(await granted('ssh'), [])
    })

    for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT'] as const) {
      it(`by ${signal}, twice as well, which is then what ends it; stdout that is full does not keep it`, async () => {
        const relay = relayTo('hourly-v4', 'source')
        await until(() => relay.child.stdout.readableLength > 0)
        await open()
        relay.child.kill(signal)
        setTimeout(() => relay.child.kill(signal === 'SIGHUP' ? 'SIGINT' : signal), 50)
        assert.deepEqual(await relay.ended, [null, signal])
        assert.equal(relay.stderr, '')
        await closed()
      })
    }

    it('by a signal while it still tries, but not before the first knock is out', async () => {
      const trying = relayTo('hourly-v4', 'echo', '--timeout', '20s')
      trying.child.kill('SIGTERM')
      assert.deepEqual(await trying.ended, [null, 'SIGTERM'])
      await nft('table inet meddler { chain in { type filter hook prerouting priority -400; tcp dport 2201 drop; }; }')
      const tried = relayTo('hourly-v4', 'echo', '--timeout', '20s')
      await until(async () => (await granted('ssh')).length > 0)
      tried.child.kill('SIGTERM')
      assert.deepEqual(await tried.ended, [null, 'SIGTERM'])
      assert.equal(tried.stderr, '')
      await closed()
      // In the middle of its sequence: 5 seconds from one knock to the next, and no closing knock.
      const steps = async () => (await lab.on(['nft', 'list', 'chain', 'inet', 'pkctl', 'step'])).stdout
      const before = await steps()
      const midway = relayTo('slower', 'echo', '--timeout', '20s')
      await until(async () => (await steps()) !== before)
      midway.child.kill('SIGHUP')
      assert.deepEqual(await midway.ended, [null, 'SIGHUP'])
      assert.deepEqual(await granted('witness'), [])
    })

    for (const [place, why] of [
      [
        'stuck',
        /^pkctl: warning: 192\.0\.2\.1 was not closed: no knock could be sent to 192\.0\.2\.1: .*ENETUNREACH.*\n$/,
      ],
      ['crossed', /^pkctl: warning: fd77::1 was not closed: it has no IPv4 address\n$/],
    ] as const) {
      it(`${place}: says in one line that it could not be, and the exit status is 0`, async () => {
        const { status, stdout, stderr } = await run(argv('connect', place, '2222'), { input: 'x' })
        assert.match(stderr, why)
        assert.deepEqual({ status, stdout }, { status: 0, stdout: 'hellox' })
      })
    }
  })

  for (const [family] of families) {
    it(`pkctl knock opens, and closes with --close, over ${family}`, async () => {
      const ports = (count: number) => new RegExp(`^knocked at \\S+ ports( \\d+){${count}}\\n$`)
      const opening = await mine('knock', `hourly-${family}`, '-v', '-d', '5')
      assert.deepEqual({ ...opening, stdout: '' }, { status: 0, stdout: '', stderr: '' })
      assert.match(opening.stdout, ports(16))
      await until(async () => (await granted('ssh')).length > 0)
      const closing = await mine('knock', `hourly-${family}`, '--close', '-v', '-t', '200')
      assert.match(closing.stdout, ports(16))
      assert.notEqual(closing.stdout, opening.stdout)
      await closed()
      for (const place of [`door-${family}`, `pkd-${family}`]) {
        assert.match((await mine('knock', place, '--close', '-v')).stdout, /ports 9101 9103 9102:udp\n$/)
        await witnessed()
        await lab.mustPkctl('delete', (await granted('witness'))[0] ?? '', '--service', 'witness')
      }
    })
  }

  it("a rotating sequence is that of the zone's hour where the place says so", async () => {
    const { stdout } = await run(argv('knock', 'local', '-v', '-d', '0'), { env: { TZ: 'Asia/Kolkata' } })
    // Hours begin at half past there. The hour may have turned since.
    const started = [Date.now(), Date.now() - 60_000].map(time => {
      const seconds = Math.floor(time / 1000)
      return seconds - ((seconds + 1800) % 3600)
    })
    const wanted = started.map(hour => rotatingSteps({ secret: '0123', digest: 'md5', first: 1000, last: 2000 }, hour))
    const lines = wanted.map(steps => `knocked at ${server4} ports ${steps.map(formatStep).join(' ')}\n`)
    assert.ok(lines.includes(stdout), stdout)
  })

  it('a TCP knock is given up at once, or waits for an answer with --answer-time', async () => {
    await nft(
      'table inet meddler { chain in { type filter hook prerouting priority -400; tcp dport 9 counter drop; }; }',
    )
    const counted = async () => {
      const { stdout } = await lab.on(['nft', 'list', 'table', 'inet', 'meddler'])
      return Number(/counter packets (\d+)/.exec(stdout)?.[1])
    }
    // What waits is repeated by the kernel after a second.
    assert.equal((await mine('knock', server4, '9', '-d', '1500')).status, 0)
    assert.equal(await counted(), 1)
    assert.equal((await mine('knock', server4, '9', '-t', '1500')).status, 0)
    assert.equal(await counted(), 3)
  })

  const mistakes: readonly [string, string[], number, RegExp][] = [
    [
      'a sequence and a key',
      ['muddled'],
      1,
      /hosts\.yaml: muddled: 'key' and 'sequence' do not go together\npkctl: hint: /,
    ],
    ['a missing secret', ['missing'], 1, /the secret file \/nowhere\/secret cannot be read: /],
    ['an empty secret', ['hollow'], 1, /the secret file \S+hollow has an empty first line/],
    ['a tag for a sequence', ['plain', '--tag', 'SSHK'], 2, /a sequence has no tag, key or port of a knock/],
  ]
  for (const [name, [place = '', ...flags], want, error] of mistakes) {
    it(`one clear line from knock and connect for ${name}`, async () => {
      for (const words of [
        ['knock', place],
        ['connect', place, '22'],
      ]) {
        const { status, stdout, stderr } = await mine(...words, ...flags)
        assert.equal(status, want, stderr)
        assert.match(stderr, /^pkctl: error: /)
        assert.match(stderr, error)
        assert.ok(stderr.trimEnd().split('\n').length <= 2, stderr)
        assert.equal(stdout, '')
      }
    })
  }

  it('what closing lacks is told before anything opens', async () => {
    const from = daemon.output.length
    const { status, stderr } = await mine('connect', 'keyless', '22')
    assert.equal(status, 1)
    assert.match(stderr, /^pkctl: error: the secret file \/nowhere\/secret cannot be read/)
    assert.doesNotMatch(daemon.output.slice(from), /opens/)
  })
})
