/**
 * A copy of the machine's file system, in a mount, network and process namespace of its own: what is written in it is gone
 * with it. For packages, which are installed for real and yet not here.
 */
import * as fs from 'node:fs'
import type { Result } from './commands.js'
import { Background, run } from './commands.js'

export class System {
  readonly #keeper: Background

  private constructor(keeper: Background) {
    this.#keeper = keeper
  }

  /** Makes it, with these files in its /tmp. */
  static async create(files: readonly string[]): Promise<System> {
    const script = `
      directory=$(mktemp -d)
      mount -t tmpfs tmpfs "$directory"
      cd "$directory"
      mkdir upper work root
      mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
      mount -t proc proc root/proc
      mount --rbind /dev root/dev
      mount -t tmpfs -o mode=755 tmpfs root/run
      mount -t tmpfs -o mode=1777 tmpfs root/tmp
      cp "$@" root/tmp
      echo "root $directory/root"
      exec sleep 600`
    const argv = ['unshare', '--mount', '--net', '--pid', '--fork', '--kill-child', '--propagation=private']
    const keeper = new Background([...argv, 'sh', '-ec', script, 'sh', ...files])
    await keeper.says(/^root \S+$/m)
    return new System(keeper)
  }

  /** What a shell in it does as root. */
  shell(command: string, env: NodeJS.ProcessEnv = {}): Promise<Result> {
    const root = /^root (\S+)$/m.exec(this.#keeper.output)?.[1] as string
    // unshare's child is the first process of the namespace.
    const parent = this.#keeper.child.pid as number
    const [pid = ''] = fs.readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8').split(' ')
    const enter = ['nsenter', `--target=${pid}`, '--mount', '--net', '--pid', 'chroot', root]
    return run([...enter, 'bash', '-c', command], { env: { LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive', ...env } })
  }

  async must(command: string): Promise<string> {
    const { status, stdout, stderr } = await this.shell(command)
    if (status !== 0) throw new Error(`${command}: exit ${status}\n${stdout}${stderr}`)
    return stdout
  }

  async remove(): Promise<void> {
    await this.#keeper.stop()
  }
}
