/** The engine of a fleet in tests: redis-server of Debian, from the machine or as scripts/fetch-redis.sh has unpacked it. */
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { Background, must, pkctl, run, until } from './commands.js'

const cache = path.join(process.env['XDG_CACHE_HOME'] ?? path.join(os.homedir(), '.cache'), 'pkctl/redis')

/** The directory of the programs, and that of their libraries; undefined where there are none. */
const found = fs.existsSync(path.join(cache, 'bin/redis-server'))
  ? { programs: path.join(cache, 'bin'), libraries: path.join(cache, 'lib') }
  : fs.existsSync('/usr/bin/redis-server')
    ? { programs: '/usr/bin', libraries: '' }
    : undefined

export const skipWithoutEngine = found === undefined ? 'needs the package redis-server' : false

const program = (name: string) => path.join(found?.programs ?? '', name)
const env = { LD_LIBRARY_PATH: found?.libraries ?? '' }

/** One server in a network namespace, with a directory of its own. */
export class TestEngine {
  #running: Background | undefined

  constructor(
    readonly namespace: string,
    readonly address: string,
    readonly directory: string,
    /** Further options, such as `--maxmemory 2mb`. */
    public options: readonly string[] = [],
    readonly port = 6379,
  ) {
    fs.mkdirSync(directory, { recursive: true })
  }

  async start(): Promise<void> {
    const argv = [
      ...['ip', 'netns', 'exec', this.namespace, program('redis-server'), '--dir', this.directory],
      ...['--bind', this.address, '--save', '', '--appendonly', 'no', '--protected-mode', 'no'],
      ...['--port', String(this.port)],
      ...this.options,
    ]
    this.#running = new Background(argv, { env })
    await this.#running.says(/Ready to accept connections/)
  }

  /** Ends it at once; what it had is gone. */
  async kill(): Promise<void> {
    await this.#running?.stop('SIGKILL')
    this.#running = undefined
  }

  /** Stops it from running, and lets it go on. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#running?.child.kill(signal)
  }

  async cli(...args: string[]): Promise<string> {
    const where = ['-h', this.address, '-p', String(this.port)]
    const argv = ['ip', 'netns', 'exec', this.namespace, program('redis-cli'), ...where, ...args]
    return (await must(argv, { env })).trim()
  }
}

/** A bridge with the engine and a client on it, and servers around it: 10.78.0.1, 10.78.0.2, and from 10.78.0.11 on. */
export class FleetSite {
  readonly hub: string
  readonly engine: TestEngine
  readonly directory: string
  readonly servers: FleetServer[] = []

  private constructor(
    readonly name: string,
    options: readonly string[],
  ) {
    this.hub = `${name}-h`
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-fleet-'))
    this.engine = new TestEngine(this.hub, engineAddress, path.join(this.directory, 'engine'), options)
  }

  static async create(count: number, engineOptions: readonly string[] = []): Promise<FleetSite> {
    const site = new FleetSite(`pk${process.pid}-${++made}-f`, engineOptions)
    const { hub } = site
    await must(['ip', 'netns', 'add', hub])
    const addresses = [engineAddress, clientAddress, otherAddress].map(address => `addr add ${address}/24 dev br0`)
    const up = ['link add br0 type bridge', ...addresses, 'link set br0 up', 'link set lo up']
    await must(['ip', '-n', hub, '-batch', '-'], { input: up.join('\n') })
    for (let i = 0; i < count; i++) site.servers.push(await FleetServer.create(site, i))
    return site
  }

  /** Starts all servers with what the function gives for each, and waits until each is connected to the engine. */
  async startAll(configOf: (server: FleetServer) => string): Promise<void> {
    await Promise.all(this.servers.map(server => server.start(configOf(server))))
    await Promise.all(this.servers.map(server => server.says(/connected to the engine/)))
  }

  async remove(): Promise<void> {
    await Promise.all(this.servers.map(server => server.stop()))
    await this.engine.kill()
    for (const { namespace } of this.servers) await run(['ip', 'netns', 'delete', namespace])
    await run(['ip', 'netns', 'delete', this.hub])
    fs.rmSync(this.directory, { recursive: true, force: true })
  }
}

let made = 0
export const engineAddress = '10.78.0.1'
export const clientAddress = '10.78.0.2'
export const otherAddress = '10.78.0.3'

export class FleetServer {
  daemon: Background | undefined
  readonly directory: string
  readonly socket: string

  private constructor(
    readonly namespace: string,
    readonly node: string,
    readonly address: string,
    directory: string,
  ) {
    this.directory = path.join(directory, node)
    this.socket = path.join(this.directory, 'pkctl.sock')
    fs.mkdirSync(this.directory, { recursive: true })
  }

  static async create({ name, hub, directory }: FleetSite, i: number): Promise<FleetServer> {
    const server = new FleetServer(`${name}${i}`, `node-${i}`, `10.78.0.${11 + i}`, directory)
    const { namespace, address } = server
    await must(['ip', 'netns', 'add', namespace])
    await must(['ip', 'link', 'add', 's0', 'netns', namespace, 'type', 'veth', 'peer', 'name', `h${i}`, 'netns', hub])
    await must(['ip', '-n', hub, '-batch', '-'], { input: `link set h${i} master br0\nlink set h${i} up` })
    const lines = [`addr add ${address}/24 dev s0`, 'link set s0 up', 'link set lo up']
    await must(['ip', '-n', namespace, '-batch', '-'], { input: lines.join('\n') })
    return server
  }

  /** Writes a configuration, and gives its path. */
  config(body: string): string {
    const head = `state-directory: ${this.directory}/state\nsocket: { path: ${this.socket} }\n`
    return this.file('pkctl.yaml', `${head}log: { level: debug, format: json }\n${body}\n`)
  }

  file(name: string, content: string): string {
    const file = path.join(this.directory, name)
    fs.writeFileSync(file, content, { mode: 0o600 })
    return file
  }

  /** `before` is put before the program, such as faketime. */
  async start(config: string, before: readonly string[] = []): Promise<void> {
    const argv = ['ip', 'netns', 'exec', this.namespace, ...before, process.execPath, pkctl, 'daemon']
    this.daemon = new Background([...argv, '--config', config])
    await this.daemon.says(/listening on queue/)
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.daemon?.stop(signal)
    this.daemon = undefined
  }

  on(argv: readonly string[]) {
    return run(['ip', 'netns', 'exec', this.namespace, ...argv])
  }

  /** Runs a command of pkctl here that asks the daemon. */
  command(...args: readonly string[]) {
    return this.on([process.execPath, pkctl, ...args, '--socket', this.socket])
  }

  /** The same where it must succeed; gives what it prints. */
  async mustCommand(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.command(...args)
    if (status !== 0) throw new Error(`pkctl ${args.join(' ')}: ${stderr}`)
    return stdout
  }

  /** Waits until the log of the daemon says it. */
  says(pattern: RegExp): Promise<string> {
    if (!this.daemon) throw new Error('the daemon does not run')
    return this.daemon.says(pattern)
  }

  /** Waits until something is so, and tells what was found last. */
  async until(what: string, check: () => Promise<boolean>): Promise<void> {
    await until(check, 20_000).catch(() => {
      throw new Error(`${this.node} was waited for: ${what}\n${this.daemon?.output ?? ''}`)
    })
  }
}
