/** The files from which the firewall is loaded at boot, and what of pkctl's rules stands in them. */
import * as fs from 'node:fs'
import path from 'node:path'
import { savedPart } from '../../nft/foreign/index.js'
import type { SavedRules } from '../facts.js'

const files = [
  ...['/etc/nftables.conf', '/etc/sysconfig/nftables.conf'],
  ...['/etc/iptables/rules.v4', '/etc/iptables/rules.v6', '/etc/sysconfig/iptables', '/etc/sysconfig/ip6tables'],
]
/** The most files that are read, with those that they include. */
const manyFiles = 200

/** Those of the files in which something of pkctl stands. */
export function savedRules(from: readonly string[] = files): SavedRules[] {
  const seen = new Map<string, string>()
  for (const file of from) readInto(seen, file)
  return [...seen].flatMap(([file, text]) => {
    const part = savedPart(text)
    return part.hasTable || part.grants > 0 || part.hasQueueRule ? [{ path: file, ...part }] : []
  })
}

function readInto(seen: Map<string, string>, file: string): void {
  if (seen.has(file) || seen.size >= manyFiles) return
  let text: string
  try {
    if (!fs.statSync(file).isFile()) return
    text = fs.readFileSync(file, 'utf8')
  } catch {
    return
  }
  seen.set(file, text)
  for (const [, name = ''] of text.matchAll(/^\s*include\s+["']([^"'\n]+)["']/gm)) {
    // nft looks for a name that is not absolute in /etc.
    for (const base of new Set(['/etc', path.dirname(file)])) {
      for (const one of matching(path.resolve(base, name))) readInto(seen, one)
    }
  }
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
