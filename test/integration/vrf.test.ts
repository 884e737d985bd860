/**
 * Services and knocks in a VRF, on a kernel that has them. Packets of a link in a VRF pass prerouting twice, as of the link
 * and as of the VRF's device, and input once, as of the device:
 *
 *     client 10.77.0.2                        (c0) ── veth ── (s0) 10.77.0.1                         server, in no VRF
 *            10.78.0.2, fd78::2, fe80::5      (c1) ── veth ── (s1) 10.78.0.1, fd78::1, fe80::1  ┐
 *            10.79.0.2, fe80::5               (c2) ── veth ── (s2) 10.79.0.1, fe80::1           ├ VRF blue, 10.80.0.1
 */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Background } from '../support/commands.js'
import { must, run, until } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, Lab, server4 } from '../support/lab.js'
import type { Step } from '../support/peer.js'

const hooks = ['input', 'prerouting'] as const
/** The addresses of the VRF, and from where the client asks for them. */
const own = { host: '10.78.0.1', from: '10.78.0.2' }
const own6 = { host: 'fd78::1', from: 'fd78::2' }
const other = { host: '10.79.0.1', from: '10.78.0.2' }
const device = { host: '10.80.0.1', from: '10.78.0.2' }
const outside = { host: server4, from: client4 }
const inVrf = [own, own6, other, device]

async function makeVrf(lab: Lab): Promise<void> {
  const ip = (side: string, ...commands: string[]) =>
    must(['ip', '-n', side, '-batch', '-'], { input: commands.join('\n') })
  await ip(
    lab.server,
    ...['link add blue type vrf table 10', 'link set blue up', `addr add ${device.host}/32 dev blue`],
    ...[own.host, other.host].flatMap((address, i) => [
      `link add s${i + 1} type veth peer name c${i + 1} netns ${lab.client}`,
      `link set s${i + 1} master blue`,
      `addr add ${address}/24 dev s${i + 1}`,
      `addr add fe80::1/64 dev s${i + 1} nodad`,
      `link set s${i + 1} up`,
    ]),
    `addr add ${own6.host}/64 dev s1 nodad`,
  )
  await ip(
    lab.client,
    ...[`addr add ${own.from}/24 dev c1`, 'addr add 10.79.0.2/24 dev c2', `addr add ${own6.from}/64 dev c1 nodad`],
    ...['c1', 'c2'].flatMap(name => [`addr add fe80::5/64 dev ${name} nodad`, `link set ${name} up`]),
    `route add ${device.host} via ${own.host}`,
    // The address of the second link, by the first one.
    `rule add from ${own.from} to ${other.host} lookup 20`,
    `route add ${other.host} via ${own.host} table 20`,
  )
  // Who listens in no VRF gets what comes in by one.
  const accept = ['tcp', 'udp'].map(protocol => `net.ipv4.${protocol}_l3mdev_accept=1`)
  const { status, stderr } = await lab.on(['sysctl', '-qw', ...accept])
  assert.equal(status, 0, stderr)
}

async function missing(): Promise<string | false> {
  if (process.env['PKCTL_TEST_NATIVE_QUEUE'] === '1') return false
  const name = `pkctl-vrf-${process.pid}`
  await must(['ip', 'netns', 'add', name])
  const { status } = await run(['ip', '-n', name, 'link', 'add', 'blue', 'type', 'vrf', 'table', '10'])
  await must(['ip', 'netns', 'delete', name])
  return status === 0 ? false : 'this kernel has no VRF'
}

describe('VRF', { skip: await missing() }, () => {
  for (const hook of hooks) describe(`on the hook ${hook}`, () => testsOn(hook))
})

function testsOn(hook: (typeof hooks)[number]): void {
  let lab: Lab
  let daemon: Background

  const configOf = (limits: { readonly service?: string; readonly credential?: string } = {}) =>
    lab.config(
      [
        'services:',
        `  ssh: { port: 22, hook: ${hook}, window: 30${limits.service ?? ''} }`,
        `  web: { port: 2222, hook: ${hook}, allow: [10.78.0.0/24, "fd78::/64"] }`,
        `  once: { port: 3000, hook: ${hook}, single-use: true, syn: true }`,
        'credentials:',
        `  lan: { type: pkd, tag: SSHK, key: test, opens: [ssh], skew: 60${limits.credential ?? ''} }`,
        `  one: { type: pkd, tag: ONCE, key: test, opens: [once], skew: 60 }`,
        `  door: { type: sequence, sequence: [7000, "8000:udp", 9000], opens: [ssh]${limits.credential ?? ''} }`,
      ].join('\n'),
    )

  before(async () => {
    lab = await Lab.create()
    await makeVrf(lab)
    await lab.serve(22, 2222, 3000, 7000, 8000, 9000)
    for (const at of [...inVrf, outside]) assert.equal(await lab.opens(at.host, at.from), 'open', at.host)
    daemon = await lab.daemon(configOf())
  })
  after(() => lab.remove())
  afterEach(async () => {
    for (const source of [own.from, own6.from]) await lab.pkctl('delete', source, '--service', 'ssh')
  })

  const send = (at: typeof own, port: number, hex = ''): Step => ({ send: { ...at, port, hex } })
  const connect = (at: typeof own, port = 22): Step => ({ connect: { ...at, port } })
  const last = async (...steps: Step[]) => (await lab.peer(...steps)).at(-1)?.result
  const knock = (at: typeof own, hex = knockHex()) => last(send(at, knockPort, hex), connect(at))

  it('is closed by each address, and open where it was granted', async () => {
    for (const at of inVrf) assert.equal(await lab.opens(at.host, at.from), 'timeout', at.host)
    await lab.mustPkctl('add', own.from, '--service', 'ssh')
    for (const at of [own, other, device]) assert.equal(await lab.opens(at.host, at.from), 'open', at.host)
    assert.equal(await lab.opens(own6.host, own6.from), 'timeout')
  })

  it('a knock to an address of the link opens for the connection behind it', async () => {
    assert.equal(await knock(own), 'open')
    await daemon.says(/knock by lan from 10\.78\.0\.2 opens ssh/)
    assert.equal(await knock(own6), 'open')
    await daemon.says(/knock by lan from fd78::2 opens ssh/)
  })

  for (const [name, at] of Object.entries({ 'another link': other, 'the device': device })) {
    it(`a knock to an address of ${name} opens`, async () => {
      await knock(at)
      await until(async () => (await lab.opens(at.host, at.from)) === 'open')
    })
  }

  it('what waits behind a knock arrives, whatever the knock was', async () => {
    for (const at of [own, own6]) {
      const forged = send(at, knockPort, knockHex({ key: 'another' }))
      assert.equal(await last(forged, connect(at, 2222)), 'open', at.host)
    }
  })

  const sequence = (at: typeof own) => last(connect(at, 7000), send(at, 8000), connect(at, 9000), connect(at))

  it('a sequence opens, and each step arrives where a program listens', async () => {
    for (const at of [own, own6]) {
      const outcomes = await lab.peer(connect(at, 7000), send(at, 8000), connect(at, 9000), connect(at))
      assert.deepEqual(
        outcomes.map(({ result }) => result),
        ['open', 'sent', 'open', 'open'],
        at.host,
      )
    }
  })

  it('single use lets in one connection', async () => {
    assert.equal(await last(send(own, knockPort, knockHex({ tag: 'ONCE' })), connect(own, 3000)), 'open')
    assert.equal(await lab.opens(own.host, own.from, 3000), 'timeout')
  })

  it('a service and a knock can be limited to the VRF and its link, and are told when that is not enough', async () => {
    const limit = ', interface: [blue, s1, s2]'
    configOf({ service: limit, credential: limit })
    await lab.mustPkctl('reload')
    for (const at of inVrf) assert.equal(await lab.opens(at.host, at.from), 'timeout', at.host)
    assert.equal(await lab.opens(outside.host, outside.from), 'open', 'by another interface')
    assert.equal(await knock(own), 'open')
    assert.equal(await sequence(own6), 'open')

    const alone = lab.config(`services: { ssh: { port: 22, hook: ${hook}, interface: s1 } }`)
    const { stdout, stderr } = await lab.pkctl('check', '--config', alone)
    assert.match(`${stdout}${stderr}`, /s1 belongs to blue, by which its packets come in/)
    assert.match(`${stdout}${stderr}`, /for a VRF, name blue and s1/)
    configOf()
    await lab.mustPkctl('reload')
  })

  it('a link-local address gets access by none of several links', async () => {
    const at = { host: 'fe80::1%c1', from: 'fe80::5%c1' }
    assert.equal(await knock(at), 'timeout')
    await daemon.says(/knock by lan from fe80::5 refused: its address is link-local/)
  })

  // On prerouting, packets from such addresses come by their link alone.
  if (hook === 'prerouting') return
  it('a link-local address gets no access, by knock or by command, where only the VRF is named', async () => {
    const limit = ', interface: blue'
    configOf({ service: limit, credential: limit })
    await lab.mustPkctl('reload')
    const refusals = () => daemon.output.split('knock by lan from fe80::5 refused: its address is link-local').length
    const before = refusals()
    const at = { host: 'fe80::1%c1', from: 'fe80::5%c1' }
    assert.equal(await knock(at), 'timeout')
    await until(() => refusals() > before)
    const { status, stderr } = await lab.pkctl('add', 'fe80::5', '--service', 'ssh')
    assert.equal(status, 1)
    assert.match(stderr, /must name one interface, which is not a VRF/)
    configOf()
    await lab.mustPkctl('reload')
  })
}
