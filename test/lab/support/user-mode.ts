/**
 * A machine with the kernel of the native tests, as a program of this machine: see test/native/build-kernel.sh. Its disk and
 * its frames are those of the emulated machines, so that either can be the peer of the other.
 */
import path from 'node:path'
import type * as net from 'node:net'
import { Background, must, root } from '../../support/commands.js'
import { processors } from '../../support/processors.js'
import type { Place, Running } from './hardware.js'
import { addressOf, lanSocket, megabytes, mortal } from './hardware.js'
import { image } from './image.js'

let kernel: Promise<string> | undefined

/** Builds it where it is not there yet. */
const built = (): Promise<string> =>
  (kernel ??= must([path.join(root, 'test/native/build-kernel.sh')], { milliseconds: 1_200_000 }).then(text =>
    text.trimEnd(),
  ))

/** An instance is several times faster on one processor than on all of them. */
function processor(place: Place): number {
  const all = processors()
  return all[(process.pid + (place.name === 'server' ? 0 : 1)) % all.length] as number
}

export async function userMode(place: Place): Promise<Running> {
  const { name, peer, directory, logs, limitSeconds } = place
  const [folder, linux] = await Promise.all([image(), built()])
  const lan = `src=${lanSocket(directory, name)},dst=${lanSocket(directory, peer)}`
  const process_ = new Background(
    [
      ...['bash', '-c', 'exec "$@" >"$0" 2>&1', path.join(logs, 'console'), ...mortal(limitSeconds)],
      ...['taskset', '-c', String(processor(place)), linux, 'seccomp=on', `mem=${megabytes[name]}M`, 'quiet'],
      ...[`uml_dir=${directory}`, `umid=${name}`, 'con=null', 'con0=null,fd:1', 'ssl=null', 'ssl1=fd:3'],
      // Without locks: QEMU reads the same image.
      ...[`ubd0c=${directory}/${name}.cow,${folder}/root.ext4`, 'root=/dev/ubda', 'rw'],
      ...[`vec0:transport=bess,${lan},mac=${addressOf(name)}`],
      ...[`systemd.hostname=${name}`, 'systemd.show_status=no', 'systemd.mask=serial-getty@ttyS0.service'],
      ...['systemd.wants=lab-agent.service', 'security=apparmor', 'audit=0'],
      // A process that forks while a ring of io_uring is mapped, as Node.js 24 does, makes this kernel panic.
      'sysctl.kernel.io_uring_disabled=2',
    ],
    { channel: true },
  )
  const line = process_.child.stdio[3] as net.Socket
  return { process: process_, agent: () => Promise.resolve(line), folder: directory }
}
