/** Files of the person at the client. */
import * as os from 'node:os'
import * as path from 'node:path'

/** Where they keep the places at which they knock. */
export function hostsFile(): string {
  const config = process.env['XDG_CONFIG_HOME'] ?? path.join(os.homedir(), '.config')
  return path.join(config, 'pkctl', 'hosts.yaml')
}

/** `~/x` in the home directory. */
export const expandHome = (file: string): string => file.replace(/^~(?=\/)/, os.homedir())
