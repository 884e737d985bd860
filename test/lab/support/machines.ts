/**
 * Two machines with Debian's kernel and systemd, emulated, on a network that only they are on:
 *
 *     client 10.66.0.2, 10.66.0.3 ─┐
 *            fd66::2, fd66::3      │ eth0, frames in unix sockets
 *     server 10.66.0.1, fd66::1  ──┘
 *
 * Nothing of the network of the machine that runs them is used. Commands and files reach them by QEMU's guest agent.
 */
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import type { Result } from '../../support/commands.js'
import { Background, must, root } from '../../support/commands.js'
import { Agent } from './agent.js'
import { emulator, image } from './image.js'

export const server4 = '10.66.0.1'
export const server6 = 'fd66::1'
export const client4 = '10.66.0.2'
export const client6 = 'fd66::2'
export const stranger4 = '10.66.0.3'
export const stranger6 = 'fd66::3'

export type Name = 'server' | 'client'

const numbers = { server: 1, client: 2 }
const megabytes = { server: 1024, client: 640 }

/** A machine that takes longer to start than this is broken, whatever else goes on beside it. */
const bootSeconds = 180

/** How long a command in a machine may take: emulated, and beside other work, the start of node takes a minute. */
const commandSeconds = 300

export class Machine {
  readonly #agent: Agent
  readonly #disk: string
  #qemu: Background | undefined
  #bootBefore = ''

  constructor(
    readonly name: Name,
    /** For sockets and the disk, which are gone with it. */
    readonly directory: string,
    /** For what remains: the console, and the journal. */
    readonly logs: string,
    readonly limitSeconds: number,
  ) {
    this.#agent = new Agent(path.join(directory, `${name}.agent`))
    this.#disk = path.join(directory, `${name}.qcow2`)
  }

  get console(): string {
    return path.join(this.directory, `${this.name}.console`)
  }

  /** Switches it on for the first time. Should the emulation fail, then it does so again, once, and says that it did. */
  async first(): Promise<void> {
    try {
      await this.start()
    } catch (error) {
      console.error(`${(error as Error).message}\n${this.name} is started again`)
      await this.kill()
      if (fs.existsSync(`${this.logs}/console`)) fs.renameSync(`${this.logs}/console`, `${this.logs}/console.first`)
      fs.rmSync(this.#disk, { force: true })
      await this.start()
    }
  }

  /** Switches it on; what an earlier run of it wrote is there. */
  async start(): Promise<void> {
    const [folder, qemu] = await Promise.all([image(), emulator()])
    const { name, directory } = this
    fs.mkdirSync(this.logs, { recursive: true })
    if (!fs.existsSync(this.#disk)) {
      await must(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', `${folder}/root.ext4`, this.#disk])
    }
    const end = (of: Name) => path.join(directory, `${of}.lan`)
    fs.rmSync(end(name), { force: true })
    const peer = name === 'server' ? 'client' : 'server'
    const lan = `local.type=unix,local.path=${end(name)},remote.type=unix,remote.path=${end(peer)}`
    const kernel =
      'console=ttyS0 quiet net.ifnames=0 random.trust_cpu=on mitigations=off audit=0 systemd.show_status=no'
    this.#qemu = new Background([
      // It ends with the test, and after its time.
      ...['setpriv', '--pdeathsig', 'TERM', 'timeout', '-k', '5', String(this.limitSeconds), ...qemu],
      ...[
        '-M',
        'q35',
        '-cpu',
        // Without one instruction that QEMU 7.2 gets wrong now and then, so that Linux 6.12 panics.
        'max,-cx16',
        '-accel',
        'tcg,thread=multi,tb-size=512',
        '-smp',
        '2',
        '-m',
        String(megabytes[name]),
      ],
      ...['-nodefaults', '-no-user-config', '-display', 'none'],
      ...['-kernel', `${folder}/vmlinuz`, '-initrd', `${folder}/initrd.cpio`],
      ...['-append', `${kernel} systemd.hostname=${name}`],
      ...['-chardev', `socket,id=console,path=${this.console},server=on,wait=off,logfile=${this.logs}/console`],
      ...['-serial', 'chardev:console'],
      ...[
        '-drive',
        `file=${this.#disk},format=qcow2,if=none,id=root,cache=unsafe`,
        '-device',
        'virtio-blk-pci,drive=root',
      ],
      ...['-device', 'virtio-rng-pci', '-device', 'virtio-serial-pci'],
      ...['-chardev', `socket,id=agent,path=${this.#agent.path},server=on,wait=off`],
      ...['-device', 'virtserialport,chardev=agent,name=org.qemu.guest_agent.0'],
      ...['-netdev', `dgram,id=lan,${lan}`],
      ...['-device', `virtio-net-pci,netdev=lan,mac=52:54:00:66:00:0${numbers[name]},romfile=`],
    ])
    await this.#answers()
  }

  async #answers(): Promise<void> {
    try {
      await this.#agent.ready(bootSeconds)
    } catch (error) {
      const file = `${this.logs}/console`
      // There is none where QEMU did not even start.
      const said = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').slice(-1000) : ''
      throw new Error(`${this.name} does not answer; its console: ${said}\n${this.#qemu?.output ?? ''}`, {
        cause: error,
      })
    }
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
    await this.#agent.write(file, Buffer.from(content))
    await this.must(`chmod ${mode} ${file}`)
  }

  /** Copies files and folders, named relative to `base`, into a folder of the machine. */
  async copy(base: string, names: readonly string[], target: string): Promise<void> {
    const archive = path.join(this.directory, `${this.name}.tar`)
    await must(['tar', '-C', base, '-cf', archive, ...names])
    await this.#agent.write('/tmp/copy.tar', fs.readFileSync(archive))
    await this.must(`mkdir -p ${target} && tar -C ${target} -xf /tmp/copy.tar --no-same-owner && rm /tmp/copy.tar`)
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
    await this.#qemu?.stop()
  }
}

export class Machines {
  readonly directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-lab-'))
  readonly server: Machine
  readonly client: Machine

  /** `name` is that of the folder of build/lab which keeps their logs; they end by themselves after `limitSeconds`. */
  constructor(name: string, limitSeconds: number) {
    const make = (of: Name) => new Machine(of, this.directory, path.join(root, 'build/lab', name, of), limitSeconds)
    this.server = make('server')
    this.client = make('client')
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
