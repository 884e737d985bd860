/**
 * A laboratory in network namespaces of its own; nothing of the machine's own network is touched.
 *
 *     client 10.77.0.2, 10.77.0.3 ─┐
 *            fd77::2, fd77::3      │ veth
 *     server 10.77.0.1, fd77::1  ──┘
 *
 * The client has two addresses of each family, so that it can be a stranger to itself.
 */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import type { Result, RunOptions } from './commands.js'
import { Background, dist, must, pkctl, run, slowness } from './commands.js'
import type { Outcome, Step, Target } from './peer.js'
import { PeerProcess } from './peerprocess.js'

export const server4 = '10.77.0.1'
export const server6 = 'fd77::1'
export const client4 = '10.77.0.2'
export const client6 = 'fd77::2'
export const stranger4 = '10.77.0.3'
export const stranger6 = 'fd77::3'

/** In a machine of the lab, daemons have the profile that the package brings: see test/lab/support/job.ts. */
const confinement = process.env['PKCTL_TEST_CONFINED'] === '1' ? ['aa-exec', '--profile=pkctld', '--'] : []

/** Where the kernel must have nft's `queue` statement: every daemon uses it. */
const needsNative = process.env['PKCTL_TEST_NATIVE_QUEUE'] === '1'

const peerProgram = path.join(dist, 'test/support/peer.js')

/** The lock of the namespace in which a shell runs. */
export const lockFile = '/run/pkctl/ruleset-$(readlink /proc/self/ns/net | tr -dc 0-9).lock'

/** Of connections that have one SYN each; the system gives none of these ports to others. */
const firstSourcePort = 20_000

let made = 0

export class Lab {
  /** Not used again when the number of the process is: what a killed run left behind must not be in the way. */
  readonly name = `pk${process.pid}-${++made}-${randomBytes(2).toString('hex')}`
  readonly server = `${this.name}-s`
  readonly client = `${this.name}-c`
  /** A directory of its own, gone with the lab. */
  readonly directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-lab-'))
  readonly socket = path.join(this.directory, 'pkctl.sock')
  readonly #running: Background[] = []
  #peer: PeerProcess | undefined
  #dropsSecondSyns = false
  #lastSourcePort = firstSourcePort
  readonly #abandon = () => this.#removeNow()

  static async create(): Promise<Lab> {
    const lab = new Lab()
    process.once('exit', lab.#abandon)
    const { server, client } = lab
    await must(['ip', 'netns', 'add', server])
    await must(['ip', 'netns', 'add', client])
    await must(['ip', 'link', 'add', 's0', 'netns', server, 'type', 'veth', 'peer', 'name', 'c0', 'netns', client])
    await ip(server, [
      `addr add ${server4}/24 dev s0`,
      `addr add ${server6}/64 dev s0 nodad`,
      'link set s0 up',
      'link set lo up',
    ])
    await ip(client, [
      ...[client4, stranger4].map(address => `addr add ${address}/24 dev c0`),
      ...[client6, stranger6].map(address => `addr add ${address}/64 dev c0 nodad`),
      'link set c0 up',
      'link set lo up',
    ])
    return lab
  }

  /** Runs a program on the server. */
  on(argv: readonly string[], options: RunOptions = {}): Promise<Result> {
    return run(['ip', 'netns', 'exec', this.server, ...argv], options)
  }

  /** Runs a program on the client. */
  from(argv: readonly string[], options: RunOptions = {}): Promise<Result> {
    return run(['ip', 'netns', 'exec', this.client, ...argv], options)
  }

  /** Runs pkctl on the server. */
  pkctl(...args: string[]): Promise<Result> {
    const withSocket = ['init', 'remove', 'add', 'delete', 'status', 'reload', 'close'].includes(args[0] ?? '')
    return this.on([process.execPath, pkctl, ...args, ...(withSocket ? ['--socket', this.socket] : [])])
  }

  async mustPkctl(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.pkctl(...args)
    if (status !== 0) throw new Error(`pkctl ${args.join(' ')}: exit ${status}\n${stdout}${stderr}`)
    return stdout
  }

  /** Takes these steps on the client, one right after the other. */
  async peer(...steps: Step[]): Promise<Outcome[]> {
    this.#peer ??= new PeerProcess(['ip', 'netns', 'exec', this.client, process.execPath, peerProgram])
    return this.#peer.take(steps)
  }

  /** Whether a TCP port of the server opens for this source, without any retransmission. */
  async opens(host: string, from: string, port = 22): Promise<Outcome['result']> {
    const [outcome] = await this.peer({ connect: { host, port, from } })
    return outcome?.result ?? 'timeout'
  }

  /**
   * What a connection finds that is made right after a knock, without any retransmission: the client's own rules drop a second
   * SYN. So the test can wait as long as pkctld may hold the first one, on a slow machine, too.
   */
  async opensBehind(knock: Step, target: Target, timeout = 4000 * slowness): Promise<string> {
    if (!this.#dropsSecondSyns) await this.dropSecondSyns()
    const sourcePort = ++this.#lastSourcePort
    const [, connected] = await this.peer(knock, { connect: { ...target, sourcePort, timeout } })
    return connected?.result ?? 'timeout'
  }

  /** Done beforehand, the knock of `opensBehind` is sent before the call returns. */
  async dropSecondSyns(): Promise<void> {
    const syn = `tcp sport ${firstSourcePort}-32767 tcp flags & (syn | ack) == syn`
    const input = `table inet client {
      set begun { type inet_service; size 65535; flags dynamic,timeout; timeout 1m; }
      chain output {
        type filter hook output priority 0;
        ${syn} tcp sport @begun drop
        ${syn} add @begun { tcp sport }
      }
    }`
    const { status, stderr } = await this.from(['nft', '--file', '-'], { input })
    if (status !== 0) throw new Error(`nft: ${stderr}`)
    this.#dropsSecondSyns = true
  }

  /** A server for these ports on the server, TCP and UDP, both families. */
  async serve(...ports: number[]): Promise<Background> {
    const background = this.start('server', [process.execPath, peerProgram, JSON.stringify([{ serve: ports }])])
    await background.says(/serving/)
    return background
  }

  /** Makes the table that a test has made count as one of an earlier version of pkctl, whose grants are kept. */
  async adoptTable(): Promise<void> {
    const { status, stderr } = await this.on(['sh', '-c', `mkdir -p /run/pkctl && : >${lockFile}`])
    if (status !== 0) throw new Error(stderr)
  }

  start(where: 'server' | 'client', argv: readonly string[], options: RunOptions = {}): Background {
    const background = new Background(['ip', 'netns', 'exec', this[where], ...argv], options)
    this.#running.push(background)
    return background
  }

  /** Writes a file into the lab's directory, readable by root alone, and gives its path. */
  file(name: string, content: string, mode = 0o600): string {
    const file = path.join(this.directory, name)
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.writeFileSync(file, content, { mode })
    return file
  }

  /** Writes a configuration with the lab's own socket and state directory. */
  config(body: string, extra = ''): string {
    const head = [
      `state-directory: ${path.join(this.directory, 'state')}`,
      `socket: { path: ${this.socket} }`,
      extra || 'log: { level: debug, format: json }',
    ]
    return this.file('pkctl.yaml', `${head.join('\n')}\n${body}\n`)
  }

  /** Starts the daemon, confined where the machine has the profile for it. */
  startDaemon(config: string, options: RunOptions = {}): Background {
    return this.start('server', [...confinement, process.execPath, pkctl, 'daemon', '--config', config], options)
  }

  /** Starts the daemon and waits until it listens. */
  async daemon(config: string): Promise<Background> {
    const daemon = this.startDaemon(config)
    const said = await daemon.says(/listening on queue/)
    if (needsNative && !said.includes("by nft's queue statement"))
      throw new Error(`no queue statement of nft:\n${said}`)
    if (confinement.length > 0) {
      const profile = fs.readFileSync(`/proc/${daemon.child.pid}/attr/current`, 'utf8').trim()
      if (profile !== 'pkctld (enforce)') throw new Error(`the daemon's profile is ${profile}`)
    }
    return daemon
  }

  async remove(): Promise<void> {
    // How a daemon ends is tested where it matters; where all is slow, there is no time for it each time.
    for (const background of this.#running.reverse()) await background.stop(slowness > 1 ? 'SIGKILL' : 'SIGTERM')
    process.removeListener('exit', this.#abandon)
    this.#removeNow()
  }

  #removeNow(): void {
    this.#peer?.stop()
    this.#peer = undefined
    for (const background of this.#running) background.child.kill('SIGKILL')
    for (const name of [this.server, this.client]) {
      if (fs.existsSync(`/run/netns/${name}`)) removeNamespace(name)
    }
    fs.rmSync(this.directory, { recursive: true, force: true })
  }
}

async function ip(namespace: string, commands: readonly string[]): Promise<void> {
  await must(['ip', '-n', namespace, '-batch', '-'], { input: commands.join('\n') })
}

function removeNamespace(name: string): void {
  spawnSync('ip', ['netns', 'delete', name])
}
