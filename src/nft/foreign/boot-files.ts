/** The files from which a firewall is loaded at boot, with those that they include. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { readNamed } from '../../util/index.js'
import { filesOfNftablesService } from './nftables-service.js'

/** Those that nftables.service loads: on Debian, on Fedora, and as its unit says. */
export const nftablesFiles = (unitDirectories?: readonly string[]): readonly string[] => [
  ...new Set(['/etc/nftables.conf', '/etc/sysconfig/nftables.conf', ...filesOfNftablesService(unitDirectories)]),
]

export interface SavedFiles {
  /** What stands in them, by path; undefined when the file cannot be read. */
  readonly texts: ReadonlyMap<string, string | undefined>
  /** Where files may come that would be loaded as well. */
  readonly directories: ReadonlySet<string>
}

/** The most files that are read. */
const manyFiles = 200
/** More than the largest lists of addresses. */
const maxBytes = 256 * 1024 * 1024

/** Reads the files that exist of these, and what they include. */
export function readSavedFiles(from: readonly string[]): SavedFiles {
  const texts = new Map<string, string | undefined>()
  const directories = new Set<string>()
  for (const file of from) readInto({ texts, directories }, file)
  return { texts, directories }
}

function readInto(seen: { texts: Map<string, string | undefined>; directories: Set<string> }, file: string): void {
  seen.directories.add(path.dirname(file))
  if (seen.texts.has(file) || seen.texts.size >= manyFiles) return
  let text: string
  try {
    if (!fs.statSync(file).isFile()) return
    text = readNamed(file, maxBytes).toString('utf8')
  } catch (error) {
    if (!isMissing(error)) seen.texts.set(file, undefined)
    return
  }
  seen.texts.set(file, text)
  for (const [, name = ''] of text.matchAll(/^\s*include\s+["']([^"'\n]+)["']/gm)) {
    // nft looks for a name that is not absolute in /etc.
    for (const base of new Set(['/etc', path.dirname(file)])) {
      const pattern = path.resolve(base, name)
      seen.directories.add(path.dirname(pattern))
      for (const one of matching(pattern)) readInto(seen, one)
    }
  }
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ENOTDIR'
}

/** The files that the last part of a pattern with `*` and `?` stands for. */
function matching(pattern: string): string[] {
  const last = path.basename(pattern)
  if (!/[*?]/.test(last)) return [pattern]
  const words = last
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  try {
    const names = fs.readdirSync(path.dirname(pattern)).filter(name => new RegExp(`^${words}$`).test(name))
    return names.sort().map(name => path.join(path.dirname(pattern), name))
  } catch {
    return []
  }
}
