/** A server with pkctl from its package and a client with its key, and what the tests do with them again and again. */
import * as fs from 'node:fs'
import path from 'node:path'
import { version } from '../../../src/cli/version.js'
import { Background, dist, root, until } from '../../support/commands.js'
import { knockHex, knockPort } from '../../support/knocks.js'
import type { Machine } from './machines.js'
import { client4, client6, Machines, server4, server6 } from './machines.js'
import type { Seen, Target } from './prober.js'

/** Always listening, from before there is a network on; `open` is not guarded, to know when there is one. */
export const ports = { guarded: 2222, open: 2223, published: 8080, container: 80 }

export const configuration = `services:
  ssh: { port: 22, window: 1h }
  door: { port: ${ports.guarded}, window: 1h }
  web: { port: ${ports.published}, window: 1h, hook: prerouting }
credentials:
  laptop: { type: pkd, tag: SSHK, key-file: keys/laptop, opens: [ssh, door, web], skew: 1h }
socket: { group: pkctl, group-may: [status, list, add, delete] }
log: { level: debug }
`

export type Outcome = 'open' | 'timeout' | 'reset' | 'unreachable'

const key = 'a key for the laboratory alone'

/** Test files run side by side, and each builds its own. */
const packages = path.join(root, `build/lab/packages-${process.pid}`)
process.once('exit', () => {
  fs.rmSync(packages, { recursive: true, force: true })
})

/** Builds the package for Debian or Fedora under this version, and gives its path. */
export async function packaged(version: string, format: 'deb' | 'rpm' = 'deb'): Promise<string> {
  const building = new Background(['bash', path.join(root, 'scripts/build-packages.sh'), packages, format], {
    cwd: root,
    env: { PKCTL_VERSION: version, PKCTL_PACKAGE_CPUS: 'x64', PKCTL_PACKAGE_FAST: '1' },
  })
  if ((await building.exited) !== 0) throw new Error(`no package could be built:\n${building.output}`)
  return path.join(packages, format === 'deb' ? `pkctl_${version}_amd64.deb` : `pkctl-${version}-1.x86_64.rpm`)
}

/** Installs a package, whatever version of it is there, and says what was said. */
export async function install(machine: Machine, file: string): Promise<string> {
  const name = `/root/pkctl${path.extname(file)}`
  await machine.write(name, fs.readFileSync(file))
  // What it needs was not installed by rpm, but is there.
  return machine.must(`${name.endsWith('.rpm') ? 'rpm -U --nodeps' : 'dpkg -i'} ${name} 2>&1`, 400)
}

/** Puts a package's files on a machine that is only to knock: that needs nothing else. */
export async function unpack(machine: Machine, deb: string): Promise<void> {
  await machine.write('/root/pkctl.deb', fs.readFileSync(deb))
  await machine.must('dpkg -x /root/pkctl.deb /')
}

export class Site extends Machines {
  /** Both machines with pkctl from its package, configured. Builds the package first. */
  async begin(): Promise<void> {
    const [deb] = await Promise.all([packaged(version), this.start()])
    await this.furnish()
    // Nothing is closed before pkctl is there; but the machines may still be bringing up their network.
    await until(async () => (await this.opens(ports.guarded)) === 'open', 60_000)
    await Promise.all([install(this.server, deb), unpack(this.client, deb)])
    await this.configure()
  }

  /** What systemd says of a unit of the server. */
  async active(unit: string): Promise<string> {
    return (await this.server.run(`systemctl is-active ${unit}`)).stdout.trim()
  }

  async mainPid(): Promise<string> {
    return (await this.server.must('systemctl show pkctld -p MainPID --value')).trim()
  }

  /** What is listening, and on the client the tools of the tests. */
  async furnish(): Promise<void> {
    const socket = (port: number) =>
      `[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=[::]:${port}\nBacklog=4096\n[Install]\nWantedBy=sysinit.target\n`
    for (const port of [ports.guarded, ports.open]) {
      await this.server.write(`/etc/systemd/system/lab-${port}.socket`, socket(port), '644')
      const service = '[Service]\nExecStart=/usr/bin/sleep infinity\n'
      await this.server.write(`/etc/systemd/system/lab-${port}.service`, service, '644')
    }
    await this.server.must(`systemctl enable --now lab-${ports.guarded}.socket lab-${ports.open}.socket`)
    await this.client.copy(dist, ['test/lab/support/prober.js'], '/opt/lab')
    await this.client.write('/opt/lab/package.json', '{ "type": "module" }', '644')
    await this.client.must('mkdir -p -m 700 /root/.config/pkctl')
    await this.client.write('/root/.config/pkctl/home.key', key)
    const place = 'host: server, tag: SSHK, key-file: ~/.config/pkctl/home.key'
    await this.client.write('/root/.config/pkctl/hosts.yaml', `home: { ${place} }\n`)
  }

  /** The configuration with its key, as an administrator would put it there; the daemon takes it over. */
  async configure(): Promise<void> {
    await this.server.write('/etc/pkctl/pkctl.yaml', configuration, '640')
    await this.server.write('/etc/pkctl/keys/laptop', key, '640')
    await this.server.must('chgrp pkctl /etc/pkctl/pkctl.yaml /etc/pkctl/keys/laptop && pkctl check')
    await this.server.must('systemctl restart pkctl-rules pkctld', 240)
  }

  /** What becomes of a connection from the client, of which two SYNs are sent at most. */
  async opens(port: number, host = server4, from = host === server6 ? client6 : client4): Promise<Outcome> {
    const address = (ip: string) => (ip.includes(':') ? `[${ip}]` : ip)
    const target = `TCP:${address(host)}:${port},bind=${address(from)},connect-timeout=2`
    const { status, stderr } = await this.client.run(`socat -u OPEN:/dev/null ${target}`)
    if (status === 0) return 'open'
    if (stderr.includes('timed out')) return 'timeout'
    if (stderr.includes('refused')) return 'reset'
    if (stderr.includes('No route')) return 'unreachable'
    throw new Error(stderr)
  }

  /** A right knock, as `pkctl knock` would send it, but without the seconds that node needs to start in emulation. */
  async knock(host = server4): Promise<string> {
    const knock = knockHex({ tag: 'SSHK', key })
    await this.send(knock, host)
    return knock
  }

  /** Sends a datagram, and gives the server time to judge it. */
  async send(hex: string, host = server4): Promise<void> {
    const target = host === server6 ? `UDP6:[${host}]:${knockPort},bind=[${client6}]` : `UDP4:${host}:${knockPort}`
    const bytes = Buffer.from(hex, 'hex').toString('base64')
    await this.client.must(`base64 -d <<<${bytes} | socat -u - ${target} && sleep 0.5`)
  }

  /** Begins to try all of these from the client, until `tried` is called. */
  async tryAllAlong(targets: readonly Target[]): Promise<void> {
    await this.client.run('systemctl stop prober; rm -f /run/tried')
    const words = `node /opt/lab/test/lab/support/prober.js /run/tried '${JSON.stringify(targets)}'`
    await this.client.must(`systemd-run --collect --unit=prober ${words}`)
    await this.client.must('until [ -f /run/tried ]; do sleep 0.1; done', 120)
  }

  async tried(): Promise<Record<string, Seen>> {
    await this.client.must('sleep 1')
    return JSON.parse(await this.client.must('cat /run/tried')) as Record<string, Seen>
  }

  async tryNoMore(): Promise<void> {
    await this.client.run('systemctl stop prober')
  }

  /** Neither grants nor other firewalls, and a daemon that runs; it is started again only if it must be. */
  async fresh(): Promise<void> {
    const script = [
      'systemctl stop firewalld box; rm -f /etc/firewalld/zones/*; grep -q ENABLED=yes /etc/ufw/ufw.conf && ufw --force reset',
      // While it counts as started, firewalld would stop it, and what is part of it.
      'if systemctl -q is-active nftables; then systemctl stop nftables; fi',
      'for table in "ip nat" "ip filter" "ip6 filter"; do nft delete table $table; done',
      'systemctl start pkctl-rules pkctld',
      'for set in $(nft list sets inet | grep -o "pk-[^ ]*"); do nft flush set inet pkctl $set; done',
      'nft list chain inet pkctl pk-door',
    ]
    await this.server.must(script.join('\n'), 300)
  }
}
