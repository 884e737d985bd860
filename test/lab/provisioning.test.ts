/**
 * The Ansible role on a server under systemd, over ssh. The controller is this machine, in a network namespace that has
 * the place of the lab's client: it is let in always, and from its second address it is a stranger who must knock.
 *
 * Time limit: 15 minutes
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { version } from '../../src/cli/version.js'
import { Background, must, root, run, until } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { obstacle } from './support/image.js'
import { client4, Machines, server4, stranger4 } from './support/machines.js'
import { packaged } from './support/site.js'
import { userMode } from './support/user-mode.js'

const network = `pkctl-ansible-${process.pid}`
const site = path.join(root, 'templates/ansible/site.yml')
const key = 'a key for the laboratory alone'

function missing(): string | undefined {
  if (!fs.existsSync('/usr/bin/ansible-playbook')) return 'there is no ansible-playbook'
  if (!fs.existsSync('/dev/net/tun')) return 'there is no /dev/net/tun'
  return obstacle()
}

interface Run {
  readonly output: string
  readonly status: number | null
  /** The counts of the last line: ok, changed, unreachable, failed and others. */
  readonly sum: Readonly<Record<string, number>>
}

describe('the Ansible role', { skip: missing() ?? false, timeout: 2_300_000 }, () => {
  const { server, directory } = new Machines('provisioning', 2200, { server: userMode, client: userMode })
  const file = (name: string) => path.join(directory, name)
  const inside = (argv: readonly string[]) => ['ip', 'netns', 'exec', network, ...argv]
  let lan: Background | undefined
  let deb = ''

  before(async () => {
    await must(['ip', 'netns', 'add', network])
    deb = await packaged(version)
    await server.first()
    // Frames go between the server's socket and an interface of the namespace.
    await until(() => fs.existsSync(file('server.lan')), 60_000)
    const tap = `TUN:${client4}/24,tun-type=tap,iff-no-pi,iff-up,tun-name=eth0`
    lan = new Background(inside(['socat', tap, `UNIX-SENDTO:${file('server.lan')},bind=${file('client.lan')}`]))
    await until(async () => (await run(['ip', '-n', network, 'link', 'show', 'eth0'])).status === 0)
    await must(['ip', '-n', network, 'addr', 'add', `${stranger4}/24`, 'dev', 'eth0'])
    fs.writeFileSync(file('id'), await server.must('cat /root/.ssh/id_ed25519'), { mode: 0o600 })
    await until(() => opens(client4), 60_000)
  })
  after(async () => {
    await lan?.stop()
    // The client of the lab was never started.
    await server.keepJournal().catch(() => undefined)
    await server.kill()
    fs.rmSync(directory, { recursive: true, force: true })
    await run(['ip', 'netns', 'del', network])
  })

  /** Whether sshd answers a connection from this address. */
  async function opens(from: string): Promise<boolean> {
    const target = `TCP4:${server4}:22,bind=${from},connect-timeout=2`
    return (await run(inside(['socat', '-u', 'OPEN:/dev/null', target]))).status === 0
  }

  const variables = {
    pkctl_apt_update: false,
    pkctl_services: { ssh: { port: 22, window: '1h', allow: [client4] }, spare: { port: [8080, 8443] } },
    pkctl_credentials: { laptop: { type: 'pkd', tag: 'SSHK', 'key-file': 'keys/laptop', opens: ['ssh'], skew: '1h' } },
    pkctl_settings: { log: { level: 'debug' } },
    pkctl_keys: { laptop: key },
    pkctl_confirm: '5m',
  }

  async function play(changed: object = {}, ...options: string[]): Promise<Run> {
    fs.writeFileSync(file('variables.json'), JSON.stringify({ ...variables, pkctl_package: deb, ...changed }))
    const reach = {
      ansible_host: server4,
      ansible_user: 'root',
      ansible_ssh_private_key_file: file('id'),
      ansible_ssh_common_args: '-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null',
      ansible_python_interpreter: '/usr/bin/python3',
    }
    fs.writeFileSync(file('inventory.json'), JSON.stringify({ pkctl: { hosts: { server: reach } } }))
    const argv = [
      'ansible-playbook',
      '-i',
      file('inventory.json'),
      '-e',
      `@${file('variables.json')}`,
      ...options,
      site,
    ]
    const env = { ANSIBLE_HOME: file('ansible'), ANSIBLE_LOCAL_TEMP: file('ansible'), ANSIBLE_NOCOLOR: '1' }
    const playing = new Background(inside(argv), { env: { ...env, ANSIBLE_TIMEOUT: '20', LC_ALL: 'C.UTF-8' } })
    const status = await playing.exited
    const { output } = playing
    fs.appendFileSync(path.join(server.logs, 'ansible'), `${argv.join(' ')}\n${output}\n`)
    const last = /^server +: (.*)$/m.exec(output)?.[1] ?? ''
    const sum: Record<string, number> = {}
    for (const [, name = '', count] of last.matchAll(/(\w+)=(\d+)/g)) sum[name] = Number(count)
    return { output, status, sum }
  }

  async function plays(changed: object = {}, ...options: string[]): Promise<Run> {
    const played = await play(changed, ...options)
    assert.equal(played.status, 0, played.output)
    return played
  }

  /** All that the role may change. */
  async function state(): Promise<string> {
    const commands = [
      'find /etc/pkctl -printf "%p %m %u %g\n" | sort',
      'find /etc/pkctl -type f -exec sha256sum {} + | sort',
      'dpkg -l pkctl; ls -l /var/cache/pkctl*',
      'systemctl is-active pkctld pkctl-rules; systemctl is-enabled pkctld pkctl-rules',
      'systemctl show -p MainPID pkctld',
      'nft --stateless list table inet pkctl',
    ]
    // Who is granted what, and for how long, is not the role's; the candidate of a run that ended early counts for nothing.
    // A set that went and came again is listed last.
    const said = (await server.must(commands.join('\n'))).split('\n\n').sort().join('\n\n')
    return said.replace(/^.*\.candidate\.yaml.*\n/gm, '').replace(/\t*elements = \{[^}]*timeout[^}]*\}\n/g, '')
  }

  it('check mode on a bare machine foretells and does nothing', async () => {
    const { sum, output } = await plays({}, '--check', '--diff')
    assert.ok((sum['changed'] ?? 0) > 0, output)
    assert.ok(!output.includes(key))
    await server.must('! command -v pkctl && ! ls -d /etc/pkctl /var/cache/pkctl*')
  })

  it('the first run closes the port to all but the controller, and a knock opens it', async () => {
    const { output } = await plays({}, '--diff')
    assert.ok(!output.includes(key))
    assert.equal(
      await server.must('stat -c "%a %U %G" /etc/pkctl/keys/laptop /etc/pkctl/pkctl.yaml'),
      '640 root pkctl\n640 root pkctl\n',
    )
    await server.must('systemctl is-active pkctld pkctl-rules && systemctl is-enabled pkctld pkctl-rules')
    await server.must('! ls /etc/pkctl/.candidate.yaml')
    assert.equal(await opens(client4), true)
    assert.equal(await opens(stranger4), false)
    const knock = Buffer.from(knockHex({ tag: 'SSHK', key }), 'hex')
    fs.writeFileSync(file('knock'), knock)
    await must(inside(['socat', '-u', `OPEN:${file('knock')}`, `UDP4:${server4}:${knockPort},bind=${stranger4}`]))
    await until(() => opens(stranger4))
  })

  it('the second run changes nothing', async () => {
    const before = await state()
    const { sum, output } = await plays({}, '--diff')
    assert.equal(sum['changed'], 0, output)
    assert.equal(await state(), before)
  })

  it('check mode shows what would change, no secret, and changes nothing', async () => {
    const before = await state()
    const services = { ...variables.pkctl_services, spare: { port: 9090 } }
    const other = { pkctl_services: services, pkctl_keys: { laptop: 'quite another key' } }
    const { sum, output } = await plays(other, '--check', '--diff')
    assert.equal(sum['changed'], 2, output)
    assert.match(output, /^- {2}"spare": \{"port": \[8080, 8443\]\}\n\+ {2}"spare": \{"port": 9090\}$/m)
    assert.ok(!output.includes(key) && !output.includes('another key'), output)
    assert.equal(await state(), before)
  })

  it('a run that shuts the controller out is rolled back by itself', async () => {
    const before = await state()
    const services = { ...variables.pkctl_services, ssh: { port: 22, window: '1h' } }
    const { sum, output } = await play({ pkctl_services: services, pkctl_confirm: '60s' })
    assert.equal(sum['unreachable'], 1, output)
    assert.match(output, /locked out/)
    await until(() => opens(client4), 120_000)
    assert.equal(await state(), before)
  })
})
