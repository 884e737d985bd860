/** A real sshd in the lab's server, with keys and configuration of its own, and how ssh of the lab's client calls it. */
import * as fs from 'node:fs'
import * as os from 'node:os'
import type { Background } from './commands.js'
import { must } from './commands.js'
import type { Lab } from './lab.js'

/** The lab runs as root, and so does what ssh starts there. */
export const user = os.userInfo().username

/** Starts it, with `more` lines of configuration, and resolves to the options of ssh and scp that make them use it and nothing of the user's own. */
export async function startSshd(
  lab: Lab,
  more: readonly string[] = [],
): Promise<{ sshd: Background; options: string[] }> {
  const { directory } = lab
  for (const name of ['host', 'user']) {
    await must(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', `${directory}/${name}`])
  }
  const publicKey = (name: string) => fs.readFileSync(`${directory}/${name}.pub`, 'utf8').trim()
  lab.file('authorized_keys', `${publicKey('user')}\n`)
  lab.file('known_hosts', `server ${publicKey('host')}\n`)
  const config = [
    'Port 22',
    'AddressFamily any',
    `HostKey ${directory}/host`,
    `AuthorizedKeysFile ${directory}/authorized_keys`,
    'AuthenticationMethods publickey',
    'PermitRootLogin prohibit-password',
    // The lab's directory is below /tmp, where everybody may write.
    'StrictModes no',
    'UsePAM no',
    'UseDNS no',
    'PidFile none',
    'PrintMotd no',
    'LogLevel VERBOSE',
    'Subsystem sftp internal-sftp',
    ...more,
  ]
  const file = lab.file('sshd_config', `${config.join('\n')}\n`)
  // ip netns exec has a mount namespace of its own, so that the machine's /run is not touched.
  const script = 'mount -t tmpfs -o mode=755 tmpfs /run && mkdir -m 755 /run/sshd && exec /usr/sbin/sshd -D -e -f "$0"'
  const sshd = lab.start('server', ['/bin/sh', '-c', script, file])
  await sshd.says(/Server listening on[^]*Server listening on/)
  const options = {
    IdentityFile: `${directory}/user`,
    IdentitiesOnly: 'yes',
    BatchMode: 'yes',
    UserKnownHostsFile: `${directory}/known_hosts`,
    GlobalKnownHostsFile: '/dev/null',
    StrictHostKeyChecking: 'yes',
    HostKeyAlias: 'server',
    LogLevel: 'ERROR',
  }
  const words = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  return { sshd, options: ['-F', 'none', ...words] }
}
