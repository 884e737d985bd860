/** A machine with Debian's own kernel, which QEMU emulates. */
import * as fs from 'node:fs'
import * as net from 'node:net'
import path from 'node:path'
import { Background, must } from '../../support/commands.js'
import type { Name, Place, Running } from './hardware.js'
import { addressOf, lanSocket, megabytes, mortal } from './hardware.js'
import { emulator, image } from './image.js'

/** The socket of a machine's console, at which one can log in. */
export const consoleSocket = (directory: string, name: Name): string => path.join(directory, `${name}.console`)

export async function emulated({ name, peer, directory, logs, limitSeconds }: Place): Promise<Running> {
  const [folder, qemu] = await Promise.all([image(), emulator()])
  const disk = path.join(directory, `${name}.qcow2`)
  if (!fs.existsSync(disk)) {
    await must(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', `${folder}/root.ext4`, disk])
  }
  const own = lanSocket(directory, name)
  fs.rmSync(own, { force: true })
  const lan = `local.type=unix,local.path=${own},remote.type=unix,remote.path=${lanSocket(directory, peer)}`
  const agent = path.join(directory, `${name}.agent`)
  const kernel = 'console=ttyS0 quiet net.ifnames=0 random.trust_cpu=on mitigations=off audit=0 systemd.show_status=no'
  const console_ = `socket,id=console,path=${consoleSocket(directory, name)},server=on,wait=off,logfile=${logs}/console`
  const process_ = new Background([
    ...mortal(limitSeconds),
    ...qemu,
    // Without one instruction that QEMU 7.2 gets wrong now and then, so that Linux 6.12 panics.
    ...['-M', 'q35', '-cpu', 'max,-cx16', '-accel', 'tcg,thread=multi,tb-size=512', '-smp', '2'],
    ...['-m', String(megabytes[name]), '-nodefaults', '-no-user-config', '-display', 'none'],
    ...['-kernel', `${folder}/vmlinuz`, '-initrd', `${folder}/initrd.cpio`],
    ...['-append', `${kernel} systemd.hostname=${name}`, '-chardev', console_, '-serial', 'chardev:console'],
    ...['-drive', `file=${disk},format=qcow2,if=none,id=root,cache=unsafe`, '-device', 'virtio-blk-pci,drive=root'],
    ...['-device', 'virtio-rng-pci', '-device', 'virtio-serial-pci'],
    ...['-chardev', `socket,id=agent,path=${agent},server=on,wait=off`],
    ...['-device', 'virtserialport,chardev=agent,name=org.qemu.guest_agent.0'],
    ...['-netdev', `dgram,id=lan,${lan}`],
    ...['-device', `virtio-net-pci,netdev=lan,mac=${addressOf(name)},romfile=`],
  ])
  return { process: process_, agent: () => connected(agent) }
}

function connected(path: string): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(path)
    socket.once('connect', () => {
      resolve(socket)
    })
    socket.once('error', reject)
  })
}
