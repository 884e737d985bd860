/** What sequences can be told beside their ports: flags, targets, rates, one use, the turn of the hour; and attacks. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { Status } from '../../src/controller/report/collect-status.js'
import { rotatingSteps } from '../../src/knock/rotating.js'
import type { Background } from '../support/commands.js'
import { must, run, sleep, slowness, until } from '../support/commands.js'
import { fakeTimeLibrary } from '../support/faketime.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, client6, Lab, server4, server6, stranger4 } from '../support/lab.js'
import type { Step } from '../support/peer.js'

const services = 'services: { ssh: { port: 22, window: 30 } }\ncredentials:\n'

describe('sequences, in more detail', () => {
  let lab: Lab

  beforeEach(async () => {
    lab = await Lab.create()
    await lab.serve(22)
  })
  afterEach(() => lab.remove())

  const knock = (...ports: (number | string)[]) => lab.from(['knock', '-4', server4, ...ports.map(String)])
  /** A TCP packet with these flags of hping3, such as -F, to each port. */
  const packets = async (flags: string, ...ports: number[]) => {
    for (const port of ports) {
      await lab.from(['hping3', '--count', '1', '--fast', '--quiet', flags, '--destport', String(port), server4])
    }
  }
  const opens = (from = client4) => lab.opens(server4, from)
  const status = async () => JSON.parse(await lab.mustPkctl('status', '--json')) as Status

  describe('tcp-flags', () => {
    it('packets with other flags do not count, and break nothing', async () => {
      await lab.daemon(
        lab.config(
          `${services}  c: { type: sequence, sequence: [7000, 9000, 8000], opens: [ssh], tcp-flags: [fin, "!ack"] }`,
        ),
      )
      await knock(7000, 9000, 8000)
      await packets('-FA', 7000, 9000, 8000)
      assert.equal(await opens(), 'timeout')
      await packets('-F', 7000)
      await packets('-FA', 9000)
      await packets('-S', 5555)
      await packets('-F', 7000, 9000)
      await packets('-S', 7000)
      await packets('-F', 8000)
      assert.equal(await opens(), 'open')
    })

    it('a scan with those flags opens nothing', async () => {
      await lab.daemon(
        lab.config(
          `${services}  c: { type: sequence, sequence: [7000, 7010, 7020], opens: [ssh], timeout: 60, tcp-flags: [fin] }`,
        ),
      )
      const scan = await lab.from(
        ['nmap', '-n', '-Pn', '-sF', '--max-retries', '0', '-T5', '-r', '-p', '6990-7030', server4], // in order
      )
      assert.equal(scan.status, 0, scan.stderr)
      assert.equal((await status()).knocks.accepted, 0)
      await packets('-F', 7000, 7010, 7020)
      assert.equal((await status()).knocks.accepted, 1, 'knocked, it opens')
    })
  })

  it('target: knocks sent to another address of the server do not count', async () => {
    await must(['ip', '-n', lab.server, 'addr', 'add', '10.77.0.9/24', 'dev', 's0'])
    await lab.daemon(
      lab.config(
        `${services}  c: { type: sequence, sequence: [7000, 9000, 8000], opens: [ssh], target: ["10.77.0.9", "${server6}"] }`,
      ),
    )
    await knock(7000, 9000, 8000)
    assert.equal(await opens(), 'timeout')
    await lab.from(['knock', '-4', '10.77.0.9', '7000', '9000', '8000'])
    assert.equal(await opens(), 'open')
    const steps: Step[] = [7000, 9000, 8000].map(port => ({
      connect: { host: server6, from: client6, port, timeout: 30 },
    }))
    await lab.peer(...steps)
    assert.equal(await lab.opens(server6, client6), 'open')
  })

  it('rate: the sequence again, too often, opens nothing', async () => {
    const daemon = await lab.daemon(
      lab.config(`${services}  c: { type: sequence, sequence: [7000, 9000], opens: [ssh], rate: 1/1h }`),
    )
    await knock(7000, 9000)
    await daemon.says(/opens ssh/)
    await lab.mustPkctl('delete', client4, '--service', 'ssh')
    await knock(7000, 9000)
    await daemon.says(/knock by c from 10\.77\.0\.2 refused: rate-limited/)
    assert.equal(await opens(), 'timeout')
  })

  it('window: unlimited opens until it is taken back, also over a grant that has an end', async () => {
    const daemon = await lab.daemon(
      lab.config(
        `${services}  short: { type: sequence, sequence: [7001], opens: [ssh], window: 1 }\n  c: { type: sequence, sequence: [7000, 9000], opens: [ssh], window: unlimited }`,
      ),
    )
    await knock(7001, 7000, 9000)
    await daemon.says(/knock by c from 10\.77\.0\.2 opens ssh without a time limit/)
    await knock(7001)
    await sleep(1500)
    assert.equal(await opens(), 'open')
    assert.match(await lab.mustPkctl('list', 'ssh'), /10\.77\.0\.2 .*without a time limit|10\.77\.0\.2$/m)
    await lab.mustPkctl('delete', client4, '--service', 'ssh')
    assert.equal(await opens(), 'timeout')
  })

  it('closes: a sequence or a PKD knock takes the grant of its source back, and no other', async () => {
    const daemon = await lab.daemon(
      lab.config(
        `${services}  c: { type: sequence, sequence: [7000, 9000], opens: [ssh] }\n  bye: { type: sequence, sequence: [9000, 7000], closes: [ssh] }\n  end: { type: pkd, tag: SSHK, key: test, closes: [ssh] }`,
      ),
    )
    const right = (from: string): Step[] =>
      [7000, 9000].map(port => ({ connect: { host: server4, from, port, timeout: 30 } }))
    await lab.peer(...right(stranger4))
    await knock(7000, 9000)
    await until(async () => (await opens()) === 'open')
    await sleep(100)
    await knock(9000, 7000)
    await daemon.says(/knock by bye from 10\.77\.0\.2 closes ssh/)
    assert.equal(await opens(), 'timeout')
    await knock(7000, 9000)
    await until(async () => (await opens()) === 'open')
    await lab.peer({ send: { host: server4, port: knockPort, from: client4, hex: knockHex() } })
    await daemon.says(/knock by end from 10\.77\.0\.2 closes ssh/)
    assert.equal(await opens(), 'timeout')
    assert.equal(await opens(stranger4), 'open')
  })

  it('except: a range of ports is guarded but for some', async () => {
    await lab.serve(8080, 8081)
    await lab.daemon(lab.config('services: { all: { port: 1-65535, except: [8080] } }'))
    assert.deepEqual(
      [await lab.opens(server4, client4, 8080), await lab.opens(server4, client4, 8081)],
      ['open', 'timeout'],
    )
    assert.equal(await opens(), 'timeout')
  })

  describe('one-time', () => {
    let file: string
    const list = ' 7000,9000,8000\n 7100,7300:udp,7200\n#1,2\n 7500,7400\n'
    const config = (window = 30) =>
      lab.config(`${services}  c: { type: one-time, sequences-file: ${file}, opens: [ssh], window: ${window} }`)
    beforeEach(() => (file = lab.file('sequences', list)))

    it('each opens once, is marked in the file, and the next one counts', async () => {
      let daemon = await lab.daemon(config(1))
      assert.match(daemon.output, /sequences has only 3 sequences left/)
      const ask = () => lab.pkctl('sequence', 'c', '--config', `${lab.directory}/pkctl.yaml`)
      assert.equal((await ask()).stdout, 'OPEN: 7000 9000 8000\nCLOSE:\n')
      await knock(7000, 9000, 8000)
      await daemon.says(/knock by c from 10\.77\.0\.2 opens ssh/)
      assert.equal(fs.readFileSync(file, 'utf8'), list.replace(' 7000', '#7000'))
      await daemon.says(/only 2 sequences left[^]*the next one counts/)
      await sleep(1500)
      await knock(7000, 9000, 8000)
      assert.equal(await opens(), 'timeout')
      await daemon.stop('SIGKILL')
      daemon = await lab.daemon(config(1))
      await knock(7000, 9000, 8000)
      assert.equal(await opens(), 'timeout')
      await knock(7100, '7300:udp', 7200)
      await daemon.says(/only 1 sequence left[^]*the next one counts/)
      await knock(7500, 7400)
      await daemon.says(/has no sequence left/)
      assert.equal(fs.readFileSync(file, 'utf8'), '#7000,9000,8000\n#7100,7300:udp,7200\n#1,2\n#7500,7400\n')
      assert.equal((await status()).knocks.accepted, 2)
    })

    it('read-only in the middle: nothing opens any more, the log says why, and another use is refused as well', async () => {
      const daemon = await lab.daemon(config())
      // Where the daemon is: it has mounts of its own in a network namespace.
      const there = ['nsenter', '--target', String(daemon.child.pid), '--mount']
      await must([...there, 'mount', '--bind', file, file])
      try {
        await must([...there, 'mount', '-o', 'remount,ro,bind', file])
        await knock(7000, 9000, 8000)
        await daemon.says(/a valid sequence is refused: EROFS: read-only file system/)
        await knock(7000, 9000, 8000)
        await daemon.says(/refused: its line could not be marked as used[^]*its line could not be marked as used/)
        assert.equal(await opens(), 'timeout')
      } finally {
        await must([...there, 'umount', file])
      }
      await knock(7000, 9000, 8000)
      assert.equal(await opens(), 'open')
    })

    it('a file that somebody changed since is not written to, and opens nothing until it is read again', async () => {
      const daemon = await lab.daemon(config())
      fs.writeFileSync(file, ` 1,2,3\n${list}`)
      await knock(7000, 9000, 8000)
      await daemon.says(/a valid sequence is refused: \S*sequences has changed since it was read/)
      assert.equal(fs.readFileSync(file, 'utf8'), ` 1,2,3\n${list}`)
      assert.equal(await opens(), 'timeout')
      await lab.mustPkctl('reload')
      await knock(1, 2, 3)
      assert.equal(await opens(), 'open')
    })
  })

  describe('the turn of the hour', () => {
    const rotating = (grace: number) =>
      `${services}  hourly: { type: rotating, open-secret: "123", digest: md5, range: 10000-20000, opens: [ssh], window: 1, timeout: 60, grace: ${grace} }`
    /** A daemon whose clock begins so many seconds before 10 o'clock UTC. */
    const turn = 1_795_168_800
    const startAt = async (secondsBefore: number, grace: number): Promise<Background> => {
      const daemon = lab.startDaemon(lab.config(rotating(grace)), {
        env: {
          LD_PRELOAD: fakeTimeLibrary,
          FAKETIME: `@${stamp(turn - secondsBefore)}`,
          TZ: 'UTC',
          DONT_FAKE_MONOTONIC: '1',
        },
      })
      await daemon.says(/listening on queue/)
      return daemon
    }
    const stamp = (time: number) => new Date(time * 1000).toISOString().slice(0, 19).replace('T', ' ')
    const ports = (hour: number) =>
      rotatingSteps({ secret: '123', digest: 'md5', first: 10_000, last: 20_000 }, hour).map(({ port }) => port)
    const [before, after] = [ports(turn - 3600), ports(turn)]
    const accepted = async () => (await status()).knocks.accepted
    /** Where all is slow, so that what is done before the turn is over by then. */
    const pace = Math.min(4, slowness)

    it('the next sequence counts from then on, and the last one no longer', async () => {
      await startAt(6 * pace, 0)
      await knock(...after)
      assert.equal(await accepted(), 0)
      await knock(...before)
      assert.equal(await accepted(), 1)
      await sleep(7000 * pace)
      await knock(...before)
      assert.equal(await accepted(), 1, 'replayed after the hour')
      await knock(...after)
      assert.equal(await accepted(), 2)
    })

    it('one that is begun before it does not go on after it', async () => {
      await startAt(5 * pace, 0)
      await knock(...before.slice(0, 4))
      await sleep(5500 * pace)
      await knock(...before.slice(4))
      assert.equal(await accepted(), 0)
    })

    it('within the grace both count, and after it one', async () => {
      await startAt(4 * pace, 6 * pace)
      await knock(...after)
      await knock(...before)
      assert.equal(await accepted(), 2)
      await sleep(12_000 * pace)
      await knock(...before)
      assert.equal(await accepted(), 2)
    })
  })

  describe('who floods', () => {
    it('many sources in mid-sequence: memory is bounded, and a right sequence after it opens', async () => {
      const daemon = await lab.daemon(
        lab.config(
          `${services}  c: { type: sequence, sequence: [7000, 9000, 8000], opens: [ssh], timeout: 3 }`,
          'log: { level: info, format: json }',
        ),
      )
      const resident = () =>
        Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${daemon.child.pid}/status`, 'utf8'))?.[1])
      const before = resident()
      // Answers go to one neighbour, which drops them: the kernel's table of neighbours is one for all namespaces, and
      // full after a thousand, so that other tests would lose their packets.
      await must([
        'ip',
        'netns',
        'exec',
        lab.server,
        'sysctl',
        '-qw',
        'net.ipv4.conf.all.rp_filter=0',
        'net.ipv4.conf.s0.rp_filter=0',
      ])
      await must(['ip', '-n', lab.server, 'route', 'add', 'default', 'via', stranger4])
      const flood = [
        'hping3',
        '--rand-source',
        '--syn',
        '--destport',
        '7000',
        '--count',
        '150000',
        '--interval',
        'u10',
        '--quiet',
        server4,
      ]
      await lab.from(['timeout', '20', ...flood])
      const grown = resident() - before
      console.log(`      ${grown} kB more after 150,000 forged beginnings`)
      assert.ok(grown < 250_000, `${grown} kB`)
      const midway = Number(/"(\d+) sequences? in progress/.exec(await dump(daemon, 'SIGUSR2'))?.[1])
      assert.ok(midway <= 65_536)
      await sleep(3500)
      await knock(7000, 9000, 8000)
      assert.equal(await opens(), 'open')
    })

    it('spoofed steps of a victim keep nobody out for longer than they last, and let nobody in', async () => {
      await lab.daemon(
        lab.config(`${services}  c: { type: sequence, sequence: [7000, 9000, 8000], opens: [ssh], timeout: 2 }`),
      )
      const spoof = ['hping3', '--spoof', client4, '--syn', '--quiet', server4, '--count', '200', '--interval', 'u1000']
      await lab.from(['timeout', '5', ...spoof, '--destport', '5555'])
      await lab.from(['timeout', '5', ...spoof, '--destport', '++7000'])
      assert.equal(await opens(), 'timeout')
      await knock(7000, 9000, 8000)
      assert.equal(await opens(), 'open')
      assert.equal(await opens(stranger4), 'timeout')
    })
  })

  const dump = async (daemon: Background, signal: NodeJS.Signals): Promise<string> => {
    const length = daemon.output.length
    daemon.child.kill(signal)
    await until(() => /sequences? in progress|active grants?/.test(daemon.output.slice(length)))
    await sleep(200)
    return daemon.output.slice(length)
  }

  it('SIGUSR1 says who is let in, SIGUSR2 who is in mid-sequence', async () => {
    const daemon = await lab.daemon(
      lab.config(`${services}  c: { type: sequence, sequence: [7000, 9000, 8000], opens: [ssh], timeout: 60 }`),
    )
    await lab.mustPkctl('add', stranger4, '--service', 'ssh')
    await knock(7000, 9000)
    // The packet goes on before the thread that judged it has told of it.
    await until(async () =>
      /"1 sequence in progress"[^]*10\.77\.0\.2 has made 2 of 3 knocks of c/.test(await dump(daemon, 'SIGUSR2')),
    )
    await knock(8000)
    await daemon.says(/opens ssh/)
    const open = await dump(daemon, 'SIGUSR1')
    assert.match(open, /"2 active grants"/)
    assert.match(open, /10\.77\.0\.2 has access to ssh for \d+ s/)
    assert.match(open, /10\.77\.0\.3 has access to ssh without a time limit/)
    assert.match(await dump(daemon, 'SIGUSR2'), /"0 sequences in progress"/)
  })

  it('a port scan in order and at random of all ports opens nothing', async () => {
    // Where all is slow, nmap takes minutes for all 65535.
    const last = slowness > 1 ? 10_000 : 65_535
    await lab.daemon(
      lab.config(
        `${services}  c: { type: sequence, sequence: [100, ${last - 6000}, ${last - 500}], opens: [ssh], timeout: 300 }`,
      ),
    )
    for (const order of [['-r'], []]) {
      const scan = [
        'nmap',
        '-n',
        '-Pn',
        '-sS',
        '--max-retries',
        '0',
        '-T5',
        '--min-rate',
        '20000',
        `-p1-${last}`,
        ...order,
        server4,
      ]
      assert.equal((await run(['ip', 'netns', 'exec', lab.client, ...scan])).status, 0)
    }
    assert.equal((await status()).knocks.accepted, 0)
  })
})
