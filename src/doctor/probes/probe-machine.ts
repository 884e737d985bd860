/** What pkctl stands on, looked at without changing it. */
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { NftError } from '../../nft/nft-errors.js'
import type { Firewall } from '../../nft/index.js'
import { openLibraries } from '../../queue/index.js'
import { execute } from '../../util/index.js'
import type { MachineFacts } from '../facts.js'
import type { NotSeen } from './not-inspected.js'

export async function machineFacts(firewall: Firewall, notSeen: NotSeen): Promise<MachineFacts> {
  const root = process.geteuid?.() === 0
  const [nft, iptables, flock] = await Promise.all([
    versionOf('nft', /v(\d+(?:\.\d+)+)/),
    versionOf('iptables-nft', /v(\S+)/),
    versionOf('flock', /(\d\S*)/),
  ])
  const netAdmin = hasNetAdmin()
  return {
    root,
    netAdmin,
    nft,
    iptablesNft: iptables !== null,
    flock: flock !== null,
    nfTables: nft === null || !netAdmin ? null : await probe(firewall, notSeen),
    nfnetlinkQueue: hasQueue(),
    libraryProblem: libraryProblem(),
    nftablesServiceFlushes: serviceFlushes(),
    release: os.release(),
  }
}

async function versionOf(program: string, pattern: RegExp): Promise<string | null> {
  try {
    const { status, stdout } = await execute(program, ['--version'])
    return status === 0 ? (pattern.exec(stdout)?.[1] ?? null) : null
  } catch {
    return null
  }
}

const netAdminBit = 12n

function hasNetAdmin(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(read('/proc/self/status') ?? '')?.[1]
  return effective !== undefined && ((BigInt(`0x${effective}`) >> netAdminBit) & 1n) === 1n
}

async function probe(firewall: Firewall, notSeen: NotSeen): Promise<MachineFacts['nfTables']> {
  try {
    return { works: true, nativeQueue: (await firewall.probe('input')).nativeQueue }
  } catch (error) {
    if (error instanceof NftError && error.kind !== 'permission') return { works: false, why: error.message }
    notSeen("whether the kernel's nf_tables does what pkctl needs", error)
    return null
  }
}

/** There, or as a module that the kernel loads when it is needed. */
function hasQueue(): boolean {
  if (fs.existsSync('/proc/net/netfilter/nfnetlink_queue')) return true
  const modules = path.join('/lib/modules', os.release())
  return ['modules.dep', 'modules.builtin'].some(name =>
    (read(path.join(modules, name)) ?? '').includes('/nfnetlink_queue.ko'),
  )
}

function libraryProblem(): string | null {
  try {
    openLibraries()
    return null
  } catch (error) {
    return (error as Error).message
  }
}

function serviceFlushes(): boolean {
  if (!/^\s*flush\s+ruleset\b/m.test(read('/etc/nftables.conf') ?? '')) return false
  const units = '/etc/systemd/system'
  try {
    const wants = fs.readdirSync(units).filter(name => /\.(wants|requires)$/.test(name))
    return wants.some(name => fs.lstatSync(path.join(units, name, 'nftables.service'), { throwIfNoEntry: false }))
  } catch {
    return false
  }
}

function read(file: string): string | undefined {
  try {
    return fs.readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
