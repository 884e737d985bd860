/** The disk of the lab's machines: built once by machine/build.sh, kept in build/ for as long as what it depends on stays. */
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import path from 'node:path'
import { Background, must, root, run } from '../../support/commands.js'

export const scripts = path.join(root, 'test/lab/machine')
const kept = path.join(root, 'build')

const needed = [
  'qemu-system-x86_64',
  'qemu-img',
  'mmdebstrap',
  'mke2fs',
  'cpio',
  'busybox',
  'depmod',
  'flock',
  'setpriv',
]

/** A release of Debian other than the one at hand: PKCTL_LAB_SUITE=trixie. */
const suite = process.env['PKCTL_LAB_SUITE'] ?? ''

/** Why there can be no machine here, if so. */
export function obstacle(): string | undefined {
  if (process.arch !== 'x64') return 'the machine is built for amd64'
  if (process.getuid?.() !== 0) return 'building the machine needs root'
  if (!fs.existsSync('/etc/debian_version')) return 'the machine is built from Debian packages'
  const found = (name: string) =>
    ['/usr/sbin', '/usr/bin', '/sbin', '/bin'].some(dir => fs.existsSync(`${dir}/${name}`))
  const missing = needed.filter(name => !found(name))
  return missing.length > 0 ? `there is no ${missing.join(', ')}` : undefined
}

/** The folder with vmlinuz, initrd.cpio and root.ext4; one that is there is used again. */
export async function image(): Promise<string> {
  const hash = createHash('sha256')
  for (const name of ['build.sh', 'job-init']) hash.update(fs.readFileSync(path.join(scripts, name)))
  // Where there is a new kernel for this machine, those get what is new as well; else all is taken as it was.
  hash.update((await run(['apt-cache', 'depends', 'linux-image-cloud-amd64'])).stdout)
  hash.update(`${suite} ${process.version} ${fs.readFileSync('/etc/os-release', 'utf8')}`)
  const folder = path.join(kept, `machine-${hash.digest('hex').slice(0, 12)}`)
  if (fs.existsSync(folder)) return folder

  fs.mkdirSync(kept, { recursive: true })
  const script = '[ -d "$2" ] || { rm -rf "$3"/machine-* && "$1" "$2.new" $4 && mv "$2.new" "$2"; }'
  const lock = path.join(kept, 'machine.lock')
  const building = new Background([
    ...['flock', lock, 'timeout', '-k', '5', '600', 'bash', '-c', script],
    ...['bash', path.join(scripts, 'build.sh'), folder, kept, suite],
  ])
  if ((await building.exited) !== 0) throw new Error(`the machine could not be built:\n${building.output}`)
  return folder
}

let found: Promise<readonly string[]> | undefined

/** The QEMU that runs the machines, and options that it needs: see machine/qemu.sh. */
export const emulator = (): Promise<readonly string[]> =>
  (found ??= must([path.join(scripts, 'qemu.sh')]).then(text => text.trimEnd().split('\n')))
