/** What systemd knows of nftables.service: whether it loads a firewall at boot, and from which files. */
import * as fs from 'node:fs'
import * as path from 'node:path'

/** Where systemd looks for units and for what they want, the first one first: see systemd.unit(5). */
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

/**
 * The files that the commands of the unit and of all its drop-ins give to nft, also where a later drop-in has other commands:
 * to look at one too many is no harm.
 */
export function filesOfNftablesService(directories = unitDirectories): string[] {
  const main = directories.map(directory => textOf(path.join(directory, unit))).find(text => text !== undefined)
  const dropIns = directories.flatMap(directory => dropInsOf(path.join(directory, `${unit}.d`)))
  return [...new Set([main ?? '', ...dropIns].flatMap(loadedFiles))]
}

function dropInsOf(directory: string): string[] {
  try {
    const names = fs.readdirSync(directory).filter(name => name.endsWith('.conf'))
    return names.sort().map(name => textOf(path.join(directory, name)) ?? '')
  } catch {
    return []
  }
}

function textOf(file: string): string | undefined {
  try {
    return fs.readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

const commandLine = /^[ \t]*Exec(?:StartPre|Start|StartPost|Reload)[ \t]*=(.*)$/gm
/** `-f FILE`, `-cf FILE`, `--file=FILE` and `include "FILE"`, also in a command for a shell. */
const loadedFile = /(?:(?<=[\s'"])(?:-[a-zA-Z]*f\s*|--file[\s=]\s*)|\binclude\s+)\\?["']?(\/[^\s"'\\;]+)/g

function loadedFiles(unitText: string): string[] {
  const lines = unitText.replace(/\\\n/g, ' ').matchAll(commandLine)
  return [...lines].flatMap(([, command = '']) =>
    [...command.matchAll(loadedFile)].flatMap(([, file]) => (file === undefined ? [] : [path.normalize(file)])),
  )
}
