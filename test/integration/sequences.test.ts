/** Port sequences on the real kernel, knocked by Debian's `knock` and scanned by nmap. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { Status } from '../../src/controller/report/collect-status.js'
import { rotatingSteps, startOfHour } from '../../src/knock/rotating.js'
import { pkctl, sleep, until } from '../support/commands.js'
import { client4, client6, Lab, server4, server6, stranger4 } from '../support/lab.js'
import type { Step } from '../support/peer.js'

const services = 'services: { ssh: { port: 22, window: 30 }, web: { port: 8080, window: 30 } }\ncredentials:\n'
const door = '  door: { type: sequence, sequence: [7000, "8000:udp", 9000], opens: [ssh], timeout: 5 }\n'

describe('sequences', () => {
  let lab: Lab

  beforeEach(async () => {
    lab = await Lab.create()
    await lab.serve(22, 8080, 9000)
  })
  afterEach(() => lab.remove())

  const knock = (host: string, ...args: string[]) =>
    lab.from(['knock', host.includes(':') ? '-6' : '-4', host, ...args])

  /** One try at each port, by TCP unless it says `:udp`, from one address; the answers do not matter. */
  const tries = (from: string, ...ports: (number | string)[]): Step[] =>
    ports.map(port => {
      const [number, protocol] = String(port).split(':')
      const target = { host: server4, from, port: Number(number) }
      return protocol === 'udp' ? { send: { ...target, hex: '' } } : { connect: { ...target, timeout: 30 } }
    })
  const thenConnect = (from: string, port = 22): Step => ({ connect: { host: server4, port, from } })
  const last = async (...steps: Step[]) => (await lab.peer(...steps)).at(-1)?.result
  const status = async () => JSON.parse(await lab.mustPkctl('status', '--json')) as Status

  it('open by the client of knockd, over both versions of IP', async () => {
    const daemon = await lab.daemon(lab.config(services + door))
    for (const [host, source] of [
      [server4, client4],
      [server6, client6],
    ] as const) {
      assert.equal(await lab.opens(host, source), 'timeout')
      assert.equal((await knock(host, '7000', '8000:udp', '9000')).status, 0)
      // Which of its IPv6 addresses the client takes is its own affair.
      const said = await daemon.says(
        new RegExp(`knock by door from \\S*${host.includes(':') ? ':' : '[.]'}\\S* opens ssh for 30 s`),
      )
      const from = [...said.matchAll(/from (\S+) opens/g)].at(-1)?.[1] ?? ''
      assert.equal(await lab.opens(host, from), 'open')
    }
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
  })

  it('open by pkctl knock, with ports, or a place that has them', async () => {
    await lab.daemon(lab.config(services + door))
    lab.file(
      'config/pkctl/hosts.yaml',
      `server:\n  host: ${server4}\n  sequence: [7000, 8000:udp, 9000]\n  connect: 22\n`,
    )
    const mine = (...args: string[]) =>
      lab.from([process.execPath, pkctl, 'knock', ...args], { env: { XDG_CONFIG_HOME: `${lab.directory}/config` } })
    const ports = ['7000', '8000:udp', '9000']
    const verbose = await mine(server4, ...ports, '-v', '--connect', '22')
    assert.equal(verbose.status, 0, verbose.stderr)
    assert.match(verbose.stdout, /^knocked at 10\.77\.0\.1 ports 7000 8000:udp 9000\n10\.77\.0\.1 port 22\/tcp is open/)
    await lab.mustPkctl('delete', client4, '--service', 'ssh')
    assert.match((await mine('server')).stdout, /is open/)
    assert.equal((await mine(server6, ...ports, '--delay', '0', '--connect', '22')).status, 0)
    await lab.mustPkctl('delete', client4, '--service', 'ssh')
    const swapped = await mine(server4, '7000', '9000', '8000:udp', '--connect', '22', '--timeout', '1')
    assert.equal(swapped.status, 1)
    for (const [args, error] of [
      [[server4, '7000:icmp'], /expected a knock such as 7000 or 8000:udp/],
      [[server4, '7000', '--tag', 'SSHK'], /a sequence has no tag/],
      [[server4, '7000', '--delay', 'long'], /expected milliseconds such as 20, got 'long'/],
      [['server', '--port', '7000'], /a sequence has no tag/],
      [['server', '-u'], /--udp is about ports of the command line/],
      [[server4, '--tag', 'SSHK', '-d', '5'], /a PKD knock is one packet/],
      [['server', '--close'], /server has nothing to close with\npkctl: hint: .*close-sequence/],
      [['server', '7000', '--close'], /takes no ports/],
      [['server', '--close', '--connect', '22'], /exclude each other/],
    ] as const) {
      const { status: exit, stderr } = await mine(...args)
      assert.equal(exit, 2)
      assert.match(stderr, error)
    }
    assert.match((await mine('192.0.2.1', '7000')).stderr, /no knock could be sent to 192\.0\.2\.1/)
  })

  const right = [7000, '8000:udp', 9000]
  const table: readonly [string, (number | string)[], 'open' | 'timeout'][] = [
    ['in order, connecting at once', right, 'open'],
    ['the wrong order', [8000, 7000, 9000], 'timeout'],
    ['by TCP what should be UDP', [7000, 8000, 9000], 'timeout'],
    ['one missing', [7000, 9000], 'timeout'],
    ['another port of a sequence between', [7000, 9000, '8000:udp', 9000], 'timeout'],
    ['any other port between', [7000, 5555, '8000:udp', 9000], 'timeout'],
    ['any other UDP port between', [7000, '5555:udp', '8000:udp', 9000], 'timeout'],
    ['each twice', [7000, 7000, '8000:udp', '8000:udp', 9000, 9000], 'open'],
    ['after a failed attempt at once', [7000, '8000:udp', 7000, '8000:udp', 9000], 'open'],
  ]
  for (const [name, ports, want] of table) {
    it(`${name}: ${want}`, async () => {
      await lab.daemon(lab.config(services + door))
      assert.equal(await last(...tries(client4, ...ports), thenConnect(client4)), want)
    })
  }

  it('sources are told apart, and time runs out', async () => {
    await lab.daemon(lab.config(services + door.replace('timeout: 5', 'timeout: 2')))
    const between = [...tries(client4, 7000), ...tries(stranger4, '8000:udp'), ...tries(client4, 9000)]
    assert.equal(await last(...between, thenConnect(client4)), 'timeout')
    const mixed = [
      ...tries(client4, 7000),
      ...tries(stranger4, 7000),
      ...tries(client4, '8000:udp'),
      ...tries(stranger4, '8000:udp'),
      ...tries(client4, 9000),
    ]
    assert.equal(await last(...mixed, thenConnect(client4)), 'open')
    const late = [...tries(stranger4, 7000), { wait: 2200 }, ...tries(stranger4, '8000:udp', 9000)]
    assert.equal(await last(...late, thenConnect(stranger4)), 'timeout')
  })

  it('knocks at a port where somebody listens still get there', async () => {
    await lab.daemon(lab.config(services + door))
    const results = await lab.peer(
      ...tries(client4, 7000, '8000:udp'),
      thenConnect(client4, 9000),
      thenConnect(client4),
    )
    assert.deepEqual(
      results.slice(-2).map(({ result }) => result),
      ['open', 'open'],
    )
  })

  it('no scan opens, in order or at random, also not an ascending sequence', async () => {
    const ascending = '  scan: { type: sequence, sequence: [7000, 7010, 7020], opens: [ssh], timeout: 60 }\n'
    const daemon = await lab.daemon(lab.config(services + ascending))
    assert.match(daemon.output, /each port is higher than the one before/)
    for (const order of [['-r'], []]) {
      const scan = await lab.from([
        'nmap',
        '-n',
        '-Pn',
        '-sS',
        '--max-retries',
        '1',
        '-T4',
        ...order,
        '-p',
        '6900-7100',
        server4,
      ])
      assert.equal(scan.status, 0, scan.stderr)
    }
    assert.equal((await status()).knocks.accepted, 0)
    assert.equal(await lab.opens(server4, client4), 'timeout')
    assert.equal(await last(...tries(client4, 7000, 7010, 7020), thenConnect(client4)), 'open', 'knocked, it opens')
  })

  it('a scan that sends a cut-off packet before each whole one opens nothing either', async () => {
    const ascending = '  scan: { type: sequence, sequence: [7000, 7010, 7020], opens: [ssh], timeout: 60 }\n'
    await lab.daemon(lab.config(services + ascending))
    // Cut off behind its flags, so that the kernel takes it for a step; raw sockets write what they are given.
    const script = lab.file(
      'scan.pl',
      [
        'use Socket;',
        'my ($from, $to) = map { inet_aton($_) } @ARGV;',
        'sub sum { my $s = 0; $s += $_ for unpack("n*", $_[0]); $s = ($s >> 16) + ($s & 0xffff) while $s >> 16; ~$s & 0xffff }',
        'socket(my $raw, PF_INET, SOCK_RAW, 6) or die $!;',
        'for my $port (6990 .. 7030) {',
        '  my $tcp = pack("nnNNCCnnn", 40000, $port, 1, 0, 0x50, 2, 1024, 0, 0);',
        '  substr($tcp, 16, 2) = pack("n", sum($from . $to . pack("CCn", 0, 6, 20) . $tcp));',
        '  for (substr($tcp, 0, 16), $tcp) { send($raw, $_, 0, sockaddr_in(0, $to)) or die $!; select(undef, undef, undef, 0.01) }',
        '}',
      ].join('\n'),
    )
    const scan = await lab.from(['perl', script, client4, server4])
    assert.equal(scan.status, 0, scan.stderr)
    assert.equal(await lab.opens(server4, client4), 'timeout')
    assert.equal((await status()).knocks.accepted, 0)
  })

  it('one that is too slow is in the log at debug, and opens nothing', async () => {
    const daemon = await lab.daemon(lab.config(services + door.replace('timeout: 5', 'timeout: 1')))
    assert.equal(await last(...tries(client4, 7000), ...tries(client4, '8000:udp')), 'sent')
    await sleep(1300)
    assert.equal(await last(...tries(client4, 9000), thenConnect(client4)), 'timeout')
    await daemon.says(/knock by door from 10\.77\.0\.2 refused: out of time: the sequence took longer than its timeout/)
    assert.deepEqual((await status()).knocks.refused, { 'out-of-time': 1 })
  })

  it('sequences beside PKD, several for one service, one for several', async () => {
    const more = [
      '  pkd: { type: pkd, tag: SSHK, key: test, opens: [ssh] }\n',
      '  both: { type: sequence, sequence: [1001, 1003, 1002], opens: [ssh, web], window: 1s }\n',
      '  other: { type: sequence, sequence: [1001, 1002, 1003], opens: [web] }\n',
    ]
    await lab.daemon(lab.config(services + door + more.join('')))
    assert.equal(await last(...tries(client4, 1001, 1002, 1003), thenConnect(client4, 8080)), 'open')
    assert.equal(await lab.opens(server4, client4), 'timeout')
    assert.equal(await last(...tries(stranger4, 1001, 1003, 1002), thenConnect(stranger4)), 'open')
    await sleep(1300)
    assert.equal(await lab.opens(server4, stranger4, 8080), 'timeout')
  })

  it('rotating: the sequence of the hour opens, the other one closes', async () => {
    const rotating =
      '  hourly: { type: rotating, open-secret: "123", close-secret: "321", digest: md5, range: 10000-20000, opens: [ssh], grace: 60, timeout: 20 }\n'
    const daemon = await lab.daemon(lab.config(services + rotating))
    const ports = (secret: string) =>
      rotatingSteps({ secret, digest: 'md5', first: 10_000, last: 20_000 }, startOfHour(Date.now() / 1000, 'utc')).map(
        ({ port }) => String(port),
      )
    assert.equal((await knock(server4, ...ports('321'))).status, 0)
    assert.equal(await lab.opens(server4, client4), 'timeout')
    assert.equal((await knock(server4, ...ports('123'))).status, 0)
    await daemon.says(/knock by hourly from 10\.77\.0\.2 opens ssh/)
    assert.equal(await lab.opens(server4, client4), 'open')
    assert.equal((await knock(server4, ...ports('321'))).status, 0)
    await daemon.says(/knock by hourly from 10\.77\.0\.2 closes ssh/)
    await until(async () => (await lab.opens(server4, client4)) === 'timeout')
  })

  it('pkctl sequence prints them as nfqknockd does', async () => {
    const rotating = 'type: rotating, open-secret: "123", close-secret: "321", digest: md5, opens: [ssh]'
    const config = lab.config(
      `${services}${door}  hourly: { ${rotating} }\n  pkd: { type: pkd, key: x, opens: [ssh] }\n`,
    )
    const open = '48881 55381 41793 12402 18705 17690 60543 22130'
    const close = '46523 58850 16684 45072 44793 14474 2133 33959'
    const ask = (...args: string[]) => lab.pkctl('sequence', ...args, '--config', config)
    for (const at of ['1795165200', '2026-11-20T09:59:59Z']) {
      assert.equal((await ask('hourly', '--at', at)).stdout, `OPEN: ${open}\nCLOSE: ${close}\n`)
    }
    assert.equal((await ask('door')).stdout, 'OPEN: 7000 8000:udp 9000\nCLOSE:\n')
    const json = JSON.parse((await ask('hourly', '--at', '1795165200', '--json')).stdout) as object
    assert.deepEqual(json, {
      jsonVersion: 1,
      name: 'hourly',
      at: 1_795_165_200,
      open: open.split(' '),
      close: close.split(' '),
    })
    assert.match((await ask('pkd')).stderr, /^pkctl: error: credential pkd is of type pkd, and has no sequence/)
    assert.match((await ask('nobody')).stderr, /^pkctl: error: there is no credential nobody/)
    assert.equal((await ask('hourly', '--at', 'noon')).status, 2)
  })

  it('leave nothing behind', async () => {
    const daemon = await lab.daemon(lab.config(services + door))
    assert.equal(await daemon.stop(), 0)
    assert.doesNotMatch((await lab.on(['nft', 'list', 'ruleset'])).stdout, /midway|astray|knock-ports|step/)
  })
})
