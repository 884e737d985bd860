/**
 * The method by which a host entry and the flags say to knock: a PKD packet, pkctl's own packet with a symmetric key or signed
 * with an SSH key, ports of the command line, or the sequences of the host entry.
 */
import { usageError } from '../util/index.js'
import type { HostEntry } from './host-entry.js'
import type { KnockFlags } from './knock-flags.js'
import type { Caller, KnockMethod } from './knock-method.js'
import { pkdMethod, symmetricMethod } from './packet-method.js'
import { sequenceMethod, readStep, rotating } from './sequence-method.js'
import { signedMethod } from './signed-method.js'

/**
 * How to open: at `ports` where there are any, else as the entry says. Flags come before what the entry says. The caller
 * is asked for the key of a PKD knock where neither names one.
 */
export async function openMethod(
  given: HostEntry,
  flags: KnockFlags,
  caller: Caller,
  ports: readonly string[] = [],
): Promise<KnockMethod> {
  if (ports.length > 0) {
    const steps = ports.map(port => readStep(flags.udp && !port.includes(':') ? `${port}:udp` : port))
    return sequenceMethod(given, flags, () => steps)
  }
  if (flags.udp) throw usageError('--udp is about ports of the command line, and there are none')
  const entry = withFlags(given, flags)
  switch (entry.type) {
    case 'pkd':
      return pkdMethod(entry, flags, caller)
    case 'symmetric':
      return symmetricMethod(entry, flags, caller)
    case 'ssh':
      return signedMethod(entry, flags, caller)
    case 'sequence':
      return sequenceMethod(entry, flags, () => entry.sequence)
    case 'rotating':
      return sequenceMethod(entry, flags, rotating(entry, 'open'))
  }
}

/** How to close; undefined where the entry has nothing that closes. */
export async function closeMethod(
  entry: HostEntry,
  flags: KnockFlags,
  caller: Caller,
): Promise<KnockMethod | undefined> {
  if (entry.close) return openMethod(entry.close, flags, caller)
  switch (entry.type) {
    case 'pkd':
    case 'symmetric':
    case 'ssh':
      return undefined
    case 'sequence': {
      const { 'close-sequence': steps } = entry
      return steps && sequenceMethod(entry, flags, () => steps)
    }
    case 'rotating': {
      const hasSecret = (entry['close-secret'] ?? entry['close-secret-file']) !== undefined
      return hasSecret ? sequenceMethod(entry, flags, rotating(entry, 'close')) : undefined
    }
  }
}

/** How to revoke the grant by the same key that opens; undefined for knocks that cannot ask for it. */
export async function revokeMethod(
  given: HostEntry,
  flags: KnockFlags,
  caller: Caller,
): Promise<KnockMethod | undefined> {
  const entry = withFlags(given, flags)
  if (entry.type === 'symmetric') return symmetricMethod(entry, flags, caller, true)
  return entry.type === 'ssh' ? signedMethod(entry, flags, caller, true) : undefined
}

/** The entry with what the flags say of the kind of knock: an identity, and the kind of key that belongs to it. */
function withFlags(entry: HostEntry, flags: KnockFlags): HostEntry {
  const { sshKey } = flags
  const hasSecret = (flags.keyFile ?? flags.keyEnv) !== undefined
  if (sshKey !== undefined && hasSecret)
    throw usageError('--ssh-key excludes --key-file and --key-env', 'a knock is made with one key')
  if (entry.type === 'sequence' || entry.type === 'rotating') return entry
  const { host, family, port, connect, delay } = entry
  const common = { host, family, port, connect, delay }
  const identity = flags.identity ?? (entry.type === 'pkd' ? undefined : entry.identity)
  if (identity === undefined) return entry
  if (entry.type === 'pkd' && (entry.tag ?? entry.key ?? entry['key-file']) !== undefined)
    throw usageError('the host entry is for PKD knocks, which take no --identity')
  if (hasSecret) return { ...common, type: 'symmetric', identity }
  if (entry.type === 'symmetric' && sshKey === undefined) return { ...entry, identity }
  const own = entry.type === 'ssh' ? entry : common
  return { ...own, type: 'ssh', identity, ...(sshKey !== undefined && { 'ssh-key': sshKey }) }
}
