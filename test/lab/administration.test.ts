/**
 * What an administrator does on a server with pkctl: other firewalls beside it, a flush, an upgrade, a removal. Two machines
 * in user mode, booted once; see docs/lab.md for how to run a part alone.
 *
 * Time limit: 25 minutes
 */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { after, afterEach, before, describe, it } from 'node:test'
import type { Status } from '../../src/controller/report/collect-status.js'
import { version } from '../../src/cli/version.js'
import { until } from '../support/commands.js'
import { obstacle } from './support/image.js'
import { client6, server4, server6, stranger4 } from './support/machines.js'
import { install, packaged, ports, Site } from './support/site.js'
import { userMode } from './support/user-mode.js'

/** Later than any version that package.json will have. */
const newer = '999.0.0'

/** A container's network as Docker makes it, and something that listens in it. */
const container = `
ip netns del box 2>/dev/null
set -e
ip netns add box
ip link add box0 type veth peer name eth0 netns box
ip addr add 172.17.0.1/16 dev box0
ip link set box0 up
ip -n box addr add 172.17.0.2/16 dev eth0
ip -n box link set eth0 up
ip -n box route add default via 172.17.0.1
sysctl -qw net.ipv4.ip_forward=1
systemd-run --collect --unit=box ip netns exec box socat TCP-LISTEN:${ports.container},fork,reuseaddr EXEC:/bin/cat
iptables -t nat -N DOCKER
iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables -t nat -A DOCKER ! -i box0 -p tcp --dport ${ports.published} -j DNAT --to-destination 172.17.0.2:${ports.container}
iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o box0 -j MASQUERADE
iptables -A FORWARD -d 172.17.0.2 ! -i box0 -o box0 -p tcp --dport ${ports.container} -j ACCEPT`

describe('a server that its administrator changes', { skip: obstacle() ?? false, timeout: 2_300_000 }, () => {
  const site = new Site('administration', 2200, { server: userMode, client: userMode })
  const { server } = site

  /** Debian's, of the machines. */
  const release = async () => Number(await server.must('. /etc/os-release && echo $VERSION_ID'))
  before(() => site.begin())
  after(() => site.stop())

  describe('beside others', () => {
    before(() => site.fresh())
    afterEach(() => site.fresh())

    /** Closed, and a knock opens. */
    async function guards(port: number = ports.guarded): Promise<void> {
      // The daemon takes its time to notice, and to answer.
      await until(async () => (await site.opens(port)) === 'timeout', 60_000)
      await until(async () => {
        await site.knock()
        return (await site.opens(port)) === 'open'
      }, 120_000)
      assert.equal(await site.opens(port, server4, stranger4), 'timeout')
    }

    it('`systemctl restart nftables` flushes all: closed again, and a knock opens', async t => {
      await site.tryAllAlong([{ name: 'stranger', host: server4, port: ports.guarded, from: stranger4 }])
      await server.must('systemctl restart nftables && systemctl start pkctld', 240)
      await tellHowLong(t)
      await guards()
    })

    it('the same lets nothing in where pkctld owns its table, tried each millisecond', async t => {
      const { table } = JSON.parse(await server.must('pkctl status --json')) as Status
      if (table?.mode !== 'owned') {
        t.skip(`the table is not owned on Debian ${await release()}`)
        return
      }
      const pid = await site.mainPid()
      await site.tryAllAlong([{ name: 'stranger', host: server4, port: ports.guarded, from: stranger4, every: 1 }])
      let { open, tried } = { open: [] as readonly number[], tried: 0 }
      for (let i = 0; i < 3 || (tried < 2000 && i < 30); i++) {
        // Without the first, systemd refuses more than five starts in ten seconds.
        await server.must('systemctl reset-failed nftables; systemctl restart nftables', 240)
        ;({ open, tried } = (await site.tried())['stranger'] ?? { open, tried })
      }
      await site.tryNoMore()
      t.diagnostic(`${tried} tries`)
      assert.ok(tried >= 2000, `only ${tried} tries`)
      assert.deepEqual(open, [])
      assert.equal(await site.mainPid(), pid, 'the daemon that owns the table was not started again')
      await guards()
    })

    it('the same without the daemon: pkctl-rules closes again', async () => {
      await server.must('systemctl stop pkctld && systemctl restart nftables', 240)
      await until(async () => (await server.run('nft list chain inet pkctl gate-input')).status === 0, 60_000)
      assert.equal(await site.active('pkctld'), 'inactive')
      assert.equal(await site.opens(ports.guarded), 'timeout')
    })

    it('`nft flush ruleset` is undone by the daemon by itself, with the grants that run', async t => {
      await site.knock()
      await site.tryAllAlong([{ name: 'stranger', host: server4, port: ports.guarded, from: stranger4 }])
      await server.must('nft flush ruleset')
      await until(async () => (await server.run('nft list chain inet pkctl gate-input')).status === 0, 120_000)
      await tellHowLong(t)
      await until(async () => (await site.opens(ports.guarded)) === 'open', 60_000)
      assert.equal(await site.opens(ports.guarded, server4, stranger4), 'timeout')
    })

    /** For how long the stranger got in; a matter of the machine's speed, so that nothing is asserted of it. */
    async function tellHowLong(t: TestContext): Promise<void> {
      const { open } = (await site.tried())['stranger'] ?? { open: [] }
      await site.tryNoMore()
      const [first, last] = [open[0], open.at(-1)]
      const time = first === undefined || last === undefined ? 'at no moment' : `for some ${last - first + 100} ms`
      t.diagnostic(`the port was open ${time}`)
    }

    it('ufw that denies: a knock opens only what ufw allows, too', async () => {
      await server.must('ufw default deny incoming && ufw --force enable', 240)
      await site.knock()
      assert.equal(await site.opens(ports.guarded), 'timeout', 'ufw drops what pkctl lets in')
      await server.must(`ufw allow ${ports.guarded}/tcp`, 240)
      assert.equal(await site.opens(ports.guarded), 'open', 'both let it in')
      assert.equal(await site.opens(ports.guarded, server4, stranger4), 'timeout', 'ufw lets it in, and pkctl does not')
      await server.must('ufw reload', 240)
      assert.equal(await site.opens(ports.guarded), 'open')
      assert.equal(await site.opens(ports.guarded, server4, stranger4), 'timeout', 'ufw started again')
    })

    it('firewalld: it may end nftables and its rules, and not pkctld; a knock opens only what its zone allows, too', async () => {
      await server.must('systemctl start nftables', 240)
      const pid = await site.mainPid()
      // Its service counts as started before its rules are there; it answers after that.
      await server.must('systemctl start firewalld && firewall-cmd --list-all', 240)
      // Before Debian 13, the two units conflict.
      assert.deepEqual(
        [await site.active('nftables'), await site.mainPid()],
        [(await release()) < 13 ? 'inactive' : 'active', pid],
      )
      await until(async () => (await server.run('nft list chain inet pkctl gate-input')).status === 0, 120_000)
      await site.knock()
      assert.equal(await site.opens(ports.guarded), 'unreachable', 'firewalld rejects what pkctl lets in')
      await server.must(`firewall-cmd --permanent --add-port=${ports.guarded}/tcp && firewall-cmd --reload`, 240)
      assert.equal(await site.opens(ports.guarded), 'open', 'both let it in')
      assert.equal(
        await site.opens(ports.guarded, server4, stranger4),
        'timeout',
        'firewalld lets it in, and pkctl does not',
      )
    })

    it('a port that is published by DNAT, as for a container, with `hook: prerouting`', async () => {
      await server.must(container)
      await guards(ports.published)
      // Without pkctl, everyone is let in: the port is there.
      await server.must('systemctl stop pkctld; pkctl remove web')
      assert.equal(await site.opens(ports.published, server4, stranger4), 'open')
    })
  })

  describe('an upgrade and a purge', () => {
    before(() => site.fresh())

    it('an upgrade keeps the configuration and running grants', async () => {
      const kept = () => server.must(`cd /etc/pkctl && sha256sum ${files} && stat -c '%n %a %U %G' ${files}`)
      const files = 'pkctl.yaml keys/laptop'
      await site.knock()
      const before = await kept()
      await install(server, await packaged(newer))
      assert.equal((await server.must('pkctl --version')).trim(), newer)
      assert.equal(await kept(), before)
      assert.equal(await site.active('pkctld'), 'active')
      assert.equal(await site.opens(ports.guarded), 'open', 'the grant runs on')
      assert.equal(await site.opens(ports.guarded, server4, stranger4), 'timeout')
    })

    it('what was removed is there again when it is installed again', async () => {
      await server.must('dpkg --remove pkctl 2>&1', 240)
      assert.equal(await site.active('pkctld'), 'inactive')
      await site.knock(server6)
      assert.equal(await site.opens(ports.guarded, server6, client6), 'timeout', 'nobody listens')
      await install(server, await packaged(newer))
      assert.deepEqual([await site.active('pkctl-rules'), await site.active('pkctld')], ['active', 'active'])
      await site.knock(server6)
      assert.equal(await site.opens(ports.guarded, server6, client6), 'open')
    })

    it('a purge leaves nothing', async () => {
      await server.must('dpkg --purge pkctl 2>&1', 240)
      // What the tests themselves have put there, and the journal's names of units.
      const others = ['/root/*', '/etc/systemd/system/pkctl*.service.d', '/var/log/journal/*']
      const left = [
        `find / -xdev -name '*pkctl*' ${others.map(pattern => `-not -path '${pattern}'`).join(' ')}`,
        'ls -d /run/pkctl',
        'getent passwd pkctl; getent group pkctl',
        'nft list ruleset',
      ]
      assert.equal((await server.run(left.join('\n'))).stdout, '')
      assert.equal(await site.opens(ports.guarded), 'open')
    })
  })

  describe("Fedora's package", () => {
    it('is installed, guards, is upgraded with its grants, and erased', async () => {
      await install(server, await packaged(version, 'rpm'))
      await server.must('systemctl is-enabled pkctld pkctl-rules')
      await site.configure()
      assert.equal(await site.opens(ports.guarded), 'timeout')
      await site.knock()
      assert.equal(await site.opens(ports.guarded), 'open')
      const before = await server.must('sha256sum /etc/pkctl/pkctl.yaml /etc/pkctl/keys/laptop')
      const pid = await site.mainPid()
      await install(server, await packaged(newer, 'rpm'))
      assert.equal((await server.must('pkctl --version')).trim(), newer)
      assert.equal(await server.must('sha256sum /etc/pkctl/pkctl.yaml /etc/pkctl/keys/laptop'), before)
      await until(async () => (await site.active('pkctld')) === 'active')
      assert.notEqual(await site.mainPid(), pid)
      assert.equal(await site.opens(ports.guarded), 'open', 'the grant runs on')
      assert.equal(await site.opens(ports.guarded, server4, stranger4), 'timeout')
      const said = await server.must('rpm -e pkctl 2>&1', 240)
      // The rpm of Debian 13 keeps to itself what packages say.
      if ((await release()) < 13) assert.match(said, /what it closed stays closed until the next boot/)
      assert.equal(await site.active('pkctld'), 'inactive')
      assert.equal(await site.opens(ports.guarded, server4, stranger4), 'timeout')
      await server.must('ls /etc/pkctl/pkctl.yaml.rpmsave /etc/pkctl/keys/laptop')
      await server.must('! command -v pkctl && ! ls /usr/lib/pkctl /usr/lib/systemd/system/pkctl*')
    })
  })
})
