/**
 * The nft of Debian 13, which knows more than that of Debian 12, beside the machine's own: its packages are unpacked, and run
 * by their own loader and C library. Fetched once, and kept like the kernel of the native tests.
 */
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { must, root, run } from './commands.js'

const suite = 'trixie'
const packages = [
  ...['nftables', 'libnftables1', 'libnftnl11', 'libmnl0', 'libjansson4', 'libedit2', 'libtinfo6', 'libbsd0', 'libmd0'],
  ...['libgmp10', 'libxtables12', 'libc6'],
]

/** The lists of packages come first. */
const fetchMilliseconds = 300_000

/** A directory with a program `nft`, for the front of PATH; or why there is none. */
export type DebianNft = { readonly directory: string } | { readonly problem: string }

export async function debianNft(): Promise<DebianNft> {
  const key = createHash('sha256')
    .update([suite, ...packages].join())
    .digest('hex')
    .slice(0, 16)
  const cache = path.join(process.env['XDG_CACHE_HOME'] ?? path.join(os.homedir(), '.cache'), 'pkctl', 'debian-nft')
  const kept = path.join(cache, key)
  try {
    if (!fs.existsSync(kept)) await fetchInto(cache, kept)
    return { directory: wrapperOf(kept) }
  } catch (error) {
    return { problem: `the nft of Debian's ${suite} cannot be fetched: ${(error as Error).message.slice(0, 300)}` }
  }
}

async function fetchInto(cache: string, kept: string): Promise<void> {
  fs.mkdirSync(cache, { recursive: true })
  const work = fs.mkdtempSync(path.join(cache, 'work-'))
  try {
    const fetch = ['bash', path.join(root, 'scripts/fetch-debian.sh'), suite, work, ...packages]
    const fetched = await run(fetch, { milliseconds: fetchMilliseconds })
    if (fetched.status !== 0) throw new Error(fetched.stderr.trim() || 'the mirror is too slow')
    for (const file of fetched.stdout.trim().split('\n')) await must(['dpkg', '-x', file, path.join(work, 'root')])
    // Another test may have been quicker.
    if (!fs.existsSync(kept)) fs.renameSync(path.join(work, 'root'), kept)
  } finally {
    fs.rmSync(work, { recursive: true, force: true })
  }
}

/** Not in the cache, which may be read-only, as in the machines of the native tests. */
function wrapperOf(kept: string): string {
  const libraries = fs.readdirSync(path.join(kept, 'usr/lib')).find(name => name.includes('-linux-gnu')) ?? ''
  const folder = path.join(kept, 'usr/lib', libraries)
  const loader = fs.readdirSync(folder).find(name => /^ld-.*\.so/.test(name)) ?? ''
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-nft-'))
  process.on('exit', () => {
    fs.rmSync(directory, { recursive: true, force: true })
  })
  const argv = [path.join(folder, loader), '--library-path', folder, path.join(kept, 'usr/sbin/nft')]
  fs.writeFileSync(path.join(directory, 'nft'), `#!/bin/sh\nexec ${argv.join(' ')} "$@"\n`, { mode: 0o755 })
  return directory
}
