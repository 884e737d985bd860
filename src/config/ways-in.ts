/**
 * Services that are closed and that no knock opens, although credentials say so: what each of these needs is not there. Files in
 * home directories count as good and are not read, because a home may be on a file system that does not answer.
 */
import { parseAuthorizedKeys, parseRevocations } from '../knock/openssh/index.js'
import { daemonUser } from './daemon-user.js'
import type { HostInterface } from './host-interfaces.js'
import { hasNone, hostInterfaces } from './host-interfaces.js'
import { readKeyFile } from './key-files.js'
import { readOneTimeFile } from './one-time-file.js'
import type { Config, Credential, SshCredential } from './types.js'

/** What reads files does not keep those who close ports waiting. */
const patienceMilliseconds = 3000

/** A warning for each such service; none if the files cannot be read in time. Never rejects. */
export async function unopenedServices(
  config: Pick<Config, 'services' | 'credentials'>,
  host: readonly HostInterface[] | null = hostInterfaces(),
): Promise<string[]> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<string[]>(resolve => {
    timer = setTimeout(() => resolve([]), patienceMilliseconds)
  })
  try {
    return await Promise.race([findUnopened(config, host), late])
  } finally {
    clearTimeout(timer)
  }
}

async function findUnopened(
  { services, credentials }: Pick<Config, 'services' | 'credentials'>,
  host: readonly HostInterface[] | null,
): Promise<string[]> {
  const enabled = credentials.filter(one => one.enabled)
  const warnings = services.map(async ({ name, closing, allow }) => {
    // That no enabled credential opens it is said where the configuration is read.
    const ways = enabled.filter(({ opens }) => opens.includes(name))
    if (closing === 'accept' || allow.length > 0 || ways.length === 0) return []
    const why = await Promise.all(ways.map(async way => [way.name, await obstacle(way, name, host)] as const))
    if (why.some(([, reason]) => reason === undefined)) return []
    const reasons = why.map(([way, reason]) => `${way} (${reason})`).join(', ')
    const only = `only 'pkctl add ADDRESS --service ${name}' gives a source access`
    return [`services.${name}: no credential that opens it can be used now: ${reasons}; ${only}`]
  })
  return (await Promise.all(warnings)).flat()
}

/** Why no knock of the credential opens the service; undefined where one may. */
async function obstacle(
  credential: Credential,
  service: string,
  host: readonly HostInterface[] | null,
): Promise<string | undefined> {
  const { interfaces } = credential
  if (host !== null && hasNone(interfaces, host)) return `there is no interface ${interfaces.join(', ')} now`
  if (credential.type === 'one-time') return hasSequence(credential.file) ? undefined : 'it has no sequence left'
  if (credential.type === 'ssh' && !(await hasKey(credential, service))) return 'no key in its files opens it'
  return undefined
}

function hasSequence(file: string): boolean {
  try {
    return readOneTimeFile(file).unused.length > 0
  } catch {
    return false
  }
}

async function hasKey({ authorizedKeys, caKeys, revokedKeys }: SshCredential, service: string): Promise<boolean> {
  if ([...authorizedKeys, ...caKeys, ...revokedKeys].some(({ user }) => user !== null)) return true
  const daemon = (process.geteuid?.() === 0 ? daemonUser()?.uid : process.geteuid?.()) ?? 0
  const contents = (files: SshCredential['caKeys']) =>
    Promise.all(files.map(async file => (await readKeyFile(file, daemon))?.content))
  try {
    const revocations = (await contents(revokedKeys)).map(content => {
      // Without its list of revoked keys, no key counts.
      if (!(content instanceof Buffer)) throw new Error('unreadable')
      return parseRevocations(content)
    })
    const now = Date.now() / 1000
    return (await contents([...authorizedKeys, ...caKeys])).some(
      content =>
        content instanceof Buffer &&
        parseAuthorizedKeys(content.toString(), '').entries.some(
          ({ key, opens, expiresAt }) =>
            (opens?.includes(service) ?? true) &&
            (expiresAt === null || expiresAt > now) &&
            !revocations.some(list => list.isRevoked(key)),
        ),
    )
  } catch {
    return false
  }
}
