/** Whether the firewall of nftables.service is loaded at boot. */
import * as fs from 'node:fs'
import * as path from 'node:path'

/** Where systemd looks for what a unit wants, see systemd.unit(5). */
const unitDirectories: readonly string[] = [
  '/etc/systemd/system',
  '/run/systemd/system',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
]
const unit = 'nftables.service'

/** Whether a unit wants or requires nftables.service, as `systemctl enable` arranges it. True where that cannot be read. */
export function isNftablesEnabled(directories = unitDirectories): boolean {
  return directories.some(directory => {
    try {
      return fs
        .readdirSync(directory)
        .filter(name => /\.(wants|requires)$/.test(name))
        .some(name => fs.readdirSync(path.join(directory, name)).includes(unit))
    } catch (error) {
      return (error as NodeJS.ErrnoException).code !== 'ENOENT'
    }
  })
}
