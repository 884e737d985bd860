/**
 * Two machines with Debian's systemd and packages, on a network that only they are on:
 *
 *     client 10.66.0.2, 10.66.0.3 ─┐
 *            fd66::2, fd66::3      │ eth0, frames in unix sockets
 *     server 10.66.0.1, fd66::1  ──┘
 *
 * Nothing of the network of the machine that runs them is used. Commands and files reach them by QEMU's guest agent.
 * What they run on is another matter: see hardware.ts.
 */
import * as fs from 'node:fs'
import type * as net from 'node:net'
import * as os from 'node:os'
import path from 'node:path'
import type { Result } from '../../support/commands.js'
import { must, root } from '../../support/commands.js'
import { Agent } from './agent.js'
import type { Hardware, Name, Place, Running } from './hardware.js'
import { image } from './image.js'

export const server4 = '10.66.0.1'
export const server6 = 'fd66::1'
export const client4 = '10.66.0.2'
export const client6 = 'fd66::2'
export const stranger4 = '10.66.0.3'
export const stranger6 = 'fd66::3'

/** A machine that takes longer to start than this is broken, whatever else goes on beside it. */
const bootSeconds = 180

/** How long a command in a machine may take: emulated, and beside other work, the start of node takes a minute. */
const commandSeconds = 300

export class Machine {
  readonly #agent = new Agent()
  #running: Running | undefined
  #bootBefore = ''
  #sent = 0

  constructor(
    readonly place: Place,
    readonly hardware: Hardware,
  ) {}

  get name(): Name {
    return this.place.name
  }

  get logs(): string {
    return this.place.logs
  }

  /** Switches it on for the first time. Should the emulation fail, then it does so again, once, and says that it did. */
  async first(): Promise<void> {
    try {
      await this.start()
    } catch (error) {
      console.error(`${(error as Error).message}\n${this.name} is started again`)
      await this.kill()
      if (fs.existsSync(`${this.logs}/console`)) fs.renameSync(`${this.logs}/console`, `${this.logs}/console.first`)
      for (const end of ['qcow2', 'cow'])
        fs.rmSync(path.join(this.place.directory, `${this.name}.${end}`), { force: true })
      await this.start()
    }
  }

  /** Switches it on; what an earlier run of it wrote is there. */
  async start(): Promise<void> {
    fs.mkdirSync(this.logs, { recursive: true })
    this.#running = await this.hardware(this.place)
    await this.#answers()
  }

  async #answers(): Promise<void> {
    try {
      await this.#agent.ready(() => this.#line(), bootSeconds)
    } catch (error) {
      const file = `${this.logs}/console`
      // There is none where its program did not even start.
      const said = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').slice(-1000) : ''
      throw new Error(`${this.name} does not answer; its console: ${said}\n${this.#running?.process.output ?? ''}`, {
        cause: error,
      })
    }
  }

  #line(): Promise<net.Socket> {
    return this.#running?.agent() ?? Promise.reject(new Error(`${this.name} was not switched on`))
  }

  /** Runs a bash script as root. */
  run(script: string, seconds = commandSeconds): Promise<Result> {
    return this.#agent.run(script, seconds)
  }

  /** Like `run`, and a failure is an error that tells what was said. */
  async must(script: string, seconds = commandSeconds): Promise<string> {
    const { status, stdout, stderr } = await this.run(script, seconds)
    if (status !== 0) throw new Error(`${this.name}: ${script}: exit ${status}\n${stdout}${stderr}`)
    return stdout
  }

  async write(file: string, content: string | Buffer, mode = '600'): Promise<void> {
    await this.#put(file, Buffer.from(content), `chmod ${mode} ${file}`)
  }

  /** Copies files and folders, named relative to `base`, into a folder of the machine. */
  async copy(base: string, names: readonly string[], target: string): Promise<void> {
    const archive = path.join(this.place.directory, `${this.name}.tar`)
    await must(['tar', '-C', base, '-cf', archive, ...names])
    const unpack = `mkdir -p ${target} && tar -C ${target} -xf /tmp/copy.tar --no-same-owner && rm /tmp/copy.tar`
    await this.#put('/tmp/copy.tar', fs.readFileSync(archive), unpack)
  }

  /** Writes a file, and then runs a script. */
  async #put(file: string, content: Buffer, then: string): Promise<void> {
    const folder = this.#running?.folder
    if (folder === undefined) {
      await this.#agent.write(file, content)
      await this.must(then)
      return
    }
    const sent = `${this.name}.file${++this.#sent}`
    fs.writeFileSync(path.join(folder, sent), content)
    // An older mount(8) hands the option over as it is; a newer one wants its name.
    const mount = `mount -n -t hostfs -o ${folder} none /run/lab 2>/dev/null || mount -n -t hostfs -o hostfs=${folder} none /run/lab`
    const script = `mkdir -p /run/lab && { mountpoint -q /run/lab || ${mount}; } && cp /run/lab/${sent} ${file}`
    await this.must(`set -e\n${script}\n${then}`)
    fs.rmSync(path.join(folder, sent))
  }

  /** Asks systemd to reboot; `up` waits for what comes after. */
  async reboot(): Promise<void> {
    this.#bootBefore = await this.#bootId()
    // The agent may be gone before it has said that all went well.
    await this.run('systemctl reboot', 20).catch(() => undefined)
  }

  /** Waits until the machine is there again after `reboot`. */
  async up(): Promise<void> {
    const end = Date.now() + bootSeconds * 1000
    for (;;) {
      await this.#answers()
      if ((await this.#bootId().catch(() => this.#bootBefore)) !== this.#bootBefore) return
      if (Date.now() > end) throw new Error(`${this.name} did not reboot in ${bootSeconds} s`)
    }
  }

  #bootId(): Promise<string> {
    return this.must('cat /proc/sys/kernel/random/boot_id')
  }

  /** Waits until everything that starts at boot has been started. */
  async settled(): Promise<void> {
    await this.run('systemctl is-system-running --wait', bootSeconds)
  }

  /** Keeps what the journal says, of all boots, beside the console. */
  async keepJournal(): Promise<void> {
    const { stdout } = await this.run('journalctl --no-pager --output=short-monotonic --lines=20000 --boot=all', 30)
    fs.writeFileSync(path.join(this.logs, 'journal'), stdout)
  }

  /** Switches it off, without asking it. */
  async kill(): Promise<void> {
    this.#agent.close()
    await this.#running?.process.stop()
  }
}

export class Machines {
  readonly directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-lab-'))
  readonly server: Machine
  readonly client: Machine

  /** `name` is that of the folder of build/lab which keeps their logs; they end by themselves after `limitSeconds`. */
  constructor(name: string, limitSeconds: number, hardware: Readonly<Record<Name, Hardware>>) {
    const make = (of: Name, peer: Name) => {
      const logs = path.join(root, 'build/lab', name, of)
      return new Machine({ name: of, peer, directory: this.directory, logs, limitSeconds }, hardware[of])
    }
    this.server = make('server', 'client')
    this.client = make('client', 'server')
  }

  async start(): Promise<void> {
    await image()
    await Promise.all([this.server.first(), this.client.first()])
  }

  async stop(): Promise<void> {
    for (const machine of [this.server, this.client]) {
      await machine.keepJournal().catch(() => undefined)
      await machine.kill()
    }
    fs.rmSync(this.directory, { recursive: true, force: true })
  }
}
