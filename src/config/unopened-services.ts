/**
 * Services that are closed and that no knock opens, although credentials say so: what each of these needs is not there. Files in
 * home directories that the service can read count as good and are not read, because a home may be on a file system that does not answer. Others can have
 * very many keys: each file is read once, in slices, because the daemon grants access meanwhile.
 */
import * as os from 'node:os'
import type { Step } from '../knock/index.js'
import { isSentByClients } from '../knock/index.js'
import type { AuthorizedKey, Revocations } from '../knock/openssh/index.js'
import { parseAuthorizedLine, readRevocations, SshFormatError } from '../knock/openssh/index.js'
import { canonicalAddress, protocolTcp } from '../net/index.js'
import { inSlices, Slices } from '../util/index.js'
import type { KeyPath } from './credentials/any-credential.js'
import { daemonUser } from './daemon-user.js'
import type { HostInterface } from '../net/index.js'
import { hostInterfaces } from '../net/index.js'
import { hasNone } from './host-interfaces.js'
import { readKeyFile } from './read-trusted-key-file.js'
import { readOneTimeFile } from './one-time-file.js'
import type { Config, Credential, SshCredential, StepsCredential } from './types.js'

/** What reads files does not keep those who close ports waiting. */
const patienceMilliseconds = 3000

/** What the machine has now; null where it cannot be seen. */
interface Machine {
  readonly interfaces: readonly HostInterface[] | null
  /** In the spelling of nft. */
  readonly addresses: readonly string[] | null
}

/** The addresses of this machine; null where they cannot be seen. */
function hostAddresses(): string[] | null {
  try {
    const all = Object.values(os.networkInterfaces()).flatMap(addresses => addresses ?? [])
    return all.map(({ address }) => canonicalAddress(address.replace(/%.*/, '')))
  } catch {
    return null
  }
}

/**
 * A warning for each such service; none if the files cannot be read in time. `isHidden` says which files root can read and the
 * service cannot, for commands that root runs. Never rejects.
 */
export async function unopenedServices(
  config: Pick<Config, 'services' | 'credentials'>,
  isHidden: (file: KeyPath) => boolean = () => false,
  machine: Machine = { interfaces: hostInterfaces(), addresses: hostAddresses() },
): Promise<string[]> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<string[]>(resolve => {
    timer = setTimeout(() => resolve([]), patienceMilliseconds)
  })
  try {
    return await Promise.race([findUnopened(config, machine, new KeysOfFiles(isHidden)), late])
  } finally {
    clearTimeout(timer)
  }
}

async function findUnopened(
  { services, credentials }: Pick<Config, 'services' | 'credentials'>,
  machine: Machine,
  keys: KeysOfFiles,
): Promise<string[]> {
  const enabled = credentials.filter(one => one.enabled)
  const warnings = services.map(async ({ name, closing, allow }) => {
    // That no enabled credential opens it is said where the configuration is read.
    const openers = enabled.filter(({ opens }) => opens.includes(name))
    if (closing === 'accept' || allow.length > 0 || openers.length === 0) return []
    const why = await Promise.all(
      openers.map(async one => [one.name, await obstacle(one, name, machine, keys)] as const),
    )
    if (why.some(([, reason]) => reason === undefined)) return []
    const reasons = why.map(([credential, reason]) => `${credential} (${reason})`).join(', ')
    const only = `only 'pkctl add ADDRESS --service ${name}' gives a source access`
    return [`services.${name}: no credential that opens it can be used now: ${reasons}; ${only}`]
  })
  return (await Promise.all(warnings)).flat()
}

/** Why no knock of the credential opens the service; undefined where one may. */
async function obstacle(
  credential: Credential,
  service: string,
  machine: Machine,
  keys: KeysOfFiles,
): Promise<string | undefined> {
  const { interfaces } = credential
  if (machine.interfaces !== null && hasNone(interfaces, machine.interfaces))
    return `there is no interface ${interfaces.join(', ')} now`
  if ('targets' in credential) {
    const { targets } = credential
    if (targets.length > 0 && machine.addresses !== null && !targets.some(isAmong(machine.addresses)))
      return `its target ${targets.join(', ')} is no address of this machine now`
    const sequences = sequencesOf(credential)
    if (sequences.length === 0) return 'it has no sequence left'
    const hasTcp = (steps: readonly Pick<Step, 'protocol'>[]) => steps.some(({ protocol }) => protocol === protocolTcp)
    if (!isSentByClients(credential.flags) && sequences.every(hasTcp)) return 'no client sends its tcp-flags'
  }
  if (credential.type === 'ssh' && !(await keys.open(credential, service))) return 'no key in its files opens it'
  return undefined
}

const isAmong = (addresses: readonly string[]) => (target: string) => addresses.includes(canonicalAddress(target))

/** The protocols of the sequences that may count now; those of a rotating credential are all over TCP. */
function sequencesOf(credential: StepsCredential): (readonly Pick<Step, 'protocol'>[])[] {
  switch (credential.type) {
    case 'sequence':
      return [credential.steps]
    case 'rotating':
      return [[{ protocol: protocolTcp }]]
    case 'one-time':
      return unusedIn(credential.file)
  }
}

function unusedIn(file: string): (readonly Step[])[] {
  try {
    return readOneTimeFile(file).unused.map(({ steps }) => steps)
  } catch {
    return []
  }
}

class KeysOfFiles {
  readonly #slices = new Slices()
  readonly #daemon = (process.geteuid?.() === 0 ? daemonUser()?.uid : process.geteuid?.()) ?? 0
  readonly #contents = new Map<string, Promise<Buffer | undefined>>()
  readonly #revocations = new Map<string, Promise<Revocations>>()
  readonly #opened = new Map<SshCredential, Promise<ReadonlySet<string>>>()

  constructor(readonly isHidden: (file: KeyPath) => boolean) {}

  /** Whether a key that counts opens the service. */
  async open(credential: SshCredential, service: string): Promise<boolean> {
    const { authorizedKeys, caKeys, revokedKeys } = credential
    // Without its list of revoked keys, no key counts.
    if (revokedKeys.some(this.isHidden)) return false
    const keys = [...authorizedKeys, ...caKeys].filter(file => !this.isHidden(file))
    if ([...keys, ...revokedKeys].some(({ user }) => user !== null)) return true
    const opened = once(this.#opened, credential, () => this.#openedBy(credential).catch(() => new Set<string>()))
    return (await opened).has(service)
  }

  async #openedBy({ authorizedKeys, caKeys, revokedKeys, opens }: SshCredential): Promise<ReadonlySet<string>> {
    const lists = await Promise.all(
      revokedKeys.map(file => once(this.#revocations, file.path, () => this.#revocationsIn(file))),
    )
    const [opened, now] = [new Set<string>(), Date.now() / 1000]
    for (const file of [...authorizedKeys, ...caKeys]) {
      const content = await this.#contentOf(file)
      if (!content) continue
      for (const line of linesIn(content.toString())) {
        if (this.#slices.isOver()) await this.#slices.next()
        if (!line || (line.expiresAt !== null && line.expiresAt <= now)) continue
        if (lists.some(list => list.isRevoked(line.key))) continue
        for (const service of line.opens ?? opens) opened.add(service)
        // Mostly the first key opens all.
        if (opens.every(service => opened.has(service))) return opened
      }
    }
    return opened
  }

  async #revocationsIn(file: KeyPath): Promise<Revocations> {
    const content = await this.#contentOf(file)
    if (!content) throw new Error('unreadable')
    return inSlices(readRevocations(content), this.#slices)
  }

  /** Undefined where it does not count. */
  #contentOf(file: KeyPath): Promise<Buffer | undefined> {
    return once(this.#contents, file.path, async () => {
      if (this.isHidden(file)) return undefined
      const content = (await readKeyFile(file, this.#daemon))?.content
      return content instanceof Buffer ? content : undefined
    })
  }
}

function once<K, T>(known: Map<K, T>, key: K, make: () => T): T {
  const made = known.get(key) ?? make()
  known.set(key, made)
  return made
}

/** Undefined for a line without a key that can be read. */
function* linesIn(text: string): Generator<AuthorizedKey | undefined> {
  for (let line = 1, at = 0; at <= text.length; line++) {
    const end = text.indexOf('\n', at)
    const written = text.slice(at, end < 0 ? text.length : end)
    at += written.length + 1
    try {
      yield parseAuthorizedLine(written, line)
    } catch (error) {
      if (!(error instanceof SshFormatError)) throw error
      yield undefined
    }
  }
}
