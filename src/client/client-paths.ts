/** Files of the user who runs the client. */
import * as os from 'node:os'
import * as path from 'node:path'

/** The host entries of the user. */
export function hostsFile(): string {
  const config = process.env['XDG_CONFIG_HOME'] ?? path.join(os.homedir(), '.config')
  return path.join(config, 'pkctl', 'hosts.yaml')
}
