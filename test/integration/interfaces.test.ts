/**
 * Services and knocks that are limited to interfaces, on the real kernel. Besides the lab's own link, there is a second
 * one, on which the same link-local address is another machine:
 *
 *     client 10.77.0.2, fe80::5 (c0) ── veth ── (s0) 10.77.0.1, fe80::1
 *            10.78.0.2, fe80::5 (c1) ── veth ── (s1) 10.78.0.1, fe80::1   server
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { must } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, client6, Lab, server4, server6 } from '../support/lab.js'

const second = { name: '1', server: '10.78.0.1', client: '10.78.0.2' }
const links = [
  { host: server4, from: client4 },
  { host: second.server, from: second.client },
] as const

describe('interfaces', () => {
  let lab: Lab

  beforeEach(async () => {
    lab = await Lab.create()
    await lab.serve(22, 2222, 7000, 8000)
  })
  afterEach(() => lab.remove())

  const ip = async (side: 'server' | 'client', ...commands: string[]) => {
    await must(['ip', '-n', lab[side], '-batch', '-'], { input: commands.join('\n') })
  }

  async function addSecondLink(): Promise<void> {
    await ip('server', `link add s1 type veth peer name c1 netns ${lab.client}`)
    await ip('server', `addr add ${second.server}/24 dev s1`, 'link set s1 up')
    await ip('client', `addr add ${second.client}/24 dev c1`, 'link set c1 up')
    for (const name of ['0', '1']) {
      await ip('server', `addr add fe80::1/64 dev s${name} nodad`)
      await ip('client', `addr add fe80::5/64 dev c${name} nodad`)
    }
  }

  /** Whether the port opens by the first link, and by the second. */
  async function opened(port = 22): Promise<(string | undefined)[]> {
    const results: (string | undefined)[] = []
    for (const { host, from } of links) results.push(await lab.opens(host, from, port))
    return results
  }
  const knockAt = async (host: string, from: string, hex = knockHex()) =>
    (await lab.peer({ send: { host, port: knockPort, from, hex } }, { connect: { host, port: 22, from } })).at(-1)
      ?.result
  const listed = async () =>
    (JSON.parse(await lab.mustPkctl('list', '--json')) as { services: Record<string, unknown>[] }).services

  for (const hook of ['input', 'prerouting']) {
    it(`a service guards its port on its interfaces alone, on the hook ${hook}`, async () => {
      await addSecondLink()
      await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn', '--hook', hook, '--interface', 's1')
      assert.deepEqual(await opened(), ['open', 'timeout'])
      await lab.mustPkctl('add', second.client, '--service', 'ssh')
      assert.deepEqual(await opened(), ['open', 'open'])
      await lab.mustPkctl('delete', second.client, '--service', 'ssh')
      const [ssh] = await listed()
      assert.deepEqual(ssh?.['interfaces'], ['s1'])
      assert.equal(ssh['sound'], true)
      assert.match(await lab.mustPkctl('list'), /only by s1/)
      const several = ['-i', 's1,tun*', '-i', 's0']
      assert.match(
        await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn', '--hook', hook, ...several),
        /interfaces: s1 -> s0,s1,tun\*/,
      )
      assert.deepEqual(await opened(), ['timeout', 'timeout'])
      assert.match(
        await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn', '--hook', hook, ...several),
        /^nothing to do/,
      )
      await lab.mustPkctl('remove', 'ssh')
      assert.equal((await lab.on(['nft', 'list', 'ruleset'])).stdout, '', 'nothing is left behind')
    })
  }

  it('an interface that comes later is guarded from its first packet on, by its name or the start of it', async () => {
    const early = await lab.pkctl('init', 'ssh', '--port', '22', '--syn', '--interface', 's1')
    assert.equal(early.status, 0)
    assert.match(early.stderr, /there is no interface s1 now: by other interfaces its port is open/)
    await lab.mustPkctl('init', 'alt', '--port', '2222', '--syn', '--interface', 's1*')
    assert.equal(await lab.opens(server4, client4), 'open')
    await addSecondLink()
    assert.deepEqual(await opened(), ['open', 'timeout'])
    assert.deepEqual(await opened(2222), ['open', 'timeout'])
    assert.doesNotMatch((await lab.pkctl('init', 'ssh', '--port', '22', '--interface', 's1')).stderr, /no interface/)
  })

  it('a knock counts only where it comes in by the interface of its credential, and leaves the kernel only there', async () => {
    await addSecondLink()
    const daemon = await lab.daemon(
      lab.config(
        [
          'services: { ssh: { port: 22, window: 30 } }',
          'credentials:',
          '  lan: { type: pkd, tag: SSHK, key: test, opens: [ssh], skew: 60, interface: s1 }',
          '  door: { type: sequence, sequence: [7000, "8000:udp"], opens: [ssh], interface: [s1, "ppp*"] }',
        ].join('\n'),
      ),
    )
    assert.equal(await knockAt(server4, client4), 'timeout', 'by another interface')
    const steps = (host: string, from: string) => [
      { connect: { host, from, port: 7000, timeout: 200 } },
      { send: { host, from, port: 8000, hex: '' } },
      { connect: { host, from, port: 22 } },
    ]
    assert.equal((await lab.peer(...steps(server4, client4))).at(-1)?.result, 'timeout', 'by another interface')
    const { knocks } = JSON.parse(await lab.mustPkctl('status', '--json')) as { knocks: { refused: object } }
    assert.deepEqual(knocks.refused, {}, 'the daemon has not seen it')
    assert.equal(await knockAt(second.server, second.client), 'open')
    await daemon.says(/knock by lan from 10\.78\.0\.2 opens ssh/)
    await lab.mustPkctl('delete', second.client, '--service', 'ssh')
    assert.equal((await lab.peer(...steps(second.server, second.client))).at(-1)?.result, 'open')
    await daemon.says(/knock by door from 10\.78\.0\.2 opens ssh/)
  })

  it('restores the limit when another program takes it away', async () => {
    await addSecondLink()
    const daemon = await lab.daemon(
      lab.config(
        'services: { ssh: { port: 22, interface: s1 } }\ncredentials:\n  c: { type: pkd, key: test, opens: [ssh] }',
      ),
    )
    assert.deepEqual(await opened(), ['open', 'timeout'])
    const { stdout } = await lab.on(['nft', '-a', 'list', 'chain', 'inet', 'pkctl', 'pk-ssh'])
    const handle = /by another interface" # handle (\d+)/.exec(stdout)?.[1] ?? ''
    const wider = ['replace', 'rule', 'inet', 'pkctl', 'pk-ssh', 'handle', handle, 'iifname', '!=', 's9', 'return']
    assert.equal((await lab.on(['nft', ...wider, 'comment', '"by another interface"'])).status, 0)
    await daemon.says(/service ssh was changed/)
    await daemon.says(/restored|healed/)
    assert.deepEqual(await opened(), ['open', 'timeout'])
  })

  it('a link-local address gets access only where one interface says which machine it is', async () => {
    await addSecondLink()
    const host = (name: string) => `fe80::1%c${name}`
    const from = (name: string) => `fe80::5%c${name}`
    const config = (limit: string) =>
      lab.config(
        [
          `services: { ssh: { port: 22, window: 30${limit} } }`,
          'credentials:',
          `  lan: { type: pkd, tag: SSHK, key: test, opens: [ssh], skew: 60${limit} }`,
          `  door: { type: sequence, sequence: ["7000:udp", "8000:udp"], opens: [ssh]${limit} }`,
        ].join('\n'),
      )
    const daemon = await lab.daemon(config(''))
    const sequence = async (name: string) => {
      const target = { host: host(name), from: from(name) }
      const outcomes = await lab.peer(
        { send: { ...target, port: 7000, hex: '' } },
        { send: { ...target, port: 8000, hex: '' } },
        { connect: { ...target, port: 22 } },
      )
      return outcomes.at(-1)?.result
    }
    assert.equal(await knockAt(host('0'), from('0')), 'timeout')
    await daemon.says(/knock by lan from fe80::5 refused: its address is link-local/)
    assert.equal(await sequence('0'), 'timeout')
    await daemon.says(/knock by door from fe80::5 refused: its address is link-local/)
    const refused = await lab.pkctl('add', 'fe80::5', '--service', 'ssh')
    assert.equal(refused.status, 1)
    assert.match(refused.stderr, /fe80::5 is link-local and can be a different machine on each link/)
    assert.equal(await knockAt(server6, client6), 'open', 'other addresses are not concerned')

    config(', interface: s0')
    await lab.mustPkctl('reload')
    assert.equal(await lab.opens(host('0'), from('0')), 'timeout')
    assert.equal(await knockAt(host('0'), from('0')), 'open')
    assert.equal(await sequence('0'), 'open')
    await lab.mustPkctl('add', 'fe80::5', '--service', 'ssh')
    assert.equal(await lab.opens(host('1'), from('1')), 'open', 'on the other link, the port is not guarded')

    config(', interface: [s0, s1]')
    await lab.mustPkctl('reload')
    await daemon.says(/ssh: fe80::5 revoked, because it can be a different machine on each link/)
    assert.equal(await lab.opens(host('1'), from('1')), 'timeout', 'what was granted holds there no more')
    assert.equal(await knockAt(host('1'), from('1')), 'timeout', 'two interfaces do not say which')
  })
})
