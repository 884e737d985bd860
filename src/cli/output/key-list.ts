/** Who may open what, and until when: the keys of credentials of type ssh, as `pkctl check` prints them. */
import type { SshCredential } from '../../config/index.js'
import { readKeyFile } from '../../config/index.js'
import type { AuthorizedKey, Revocations } from '../../knock/openssh/index.js'
import { parseAuthorizedKeys, parseRevocations, SshFormatError } from '../../knock/openssh/index.js'
import { durationText, oneLine } from '../../util/index.js'

interface KeyList {
  readonly lines: readonly string[]
  /** What does not count, and why. */
  readonly problems: readonly string[]
}

/** `daemon`: the user id of the daemon. */
export async function keyList(credential: SshCredential, daemon: number): Promise<KeyList> {
  const { name, closes, authorizedKeys, caKeys, revokedKeys } = credential
  const opens = closes.length > 0 ? closes.map(service => `closes ${service}`) : credential.opens
  const [lines, problems]: [string[], string[]] = [[], []]
  const contentOf = async (file: SshCredential['caKeys'][number]): Promise<Buffer | undefined> => {
    const content = (await readKeyFile(file, daemon))?.content
    if (typeof content === 'string') problems.push(content)
    return content instanceof Buffer ? content : undefined
  }
  const revocations: Revocations[] = []
  for (const file of revokedKeys) {
    const content = await contentOf(file)
    try {
      if (content) revocations.push(parseRevocations(content))
    } catch (error) {
      if (!(error instanceof SshFormatError)) throw error
      problems.push(`${oneLine(file.written)}: ${error.message}`)
    }
  }
  if (revocations.length < revokedKeys.length) problems.push('without its list of revoked keys, no key counts')
  for (const [file, isAuthority] of [
    ...authorizedKeys.map(one => [one, false] as const),
    ...caKeys.map(one => [one, true] as const),
  ]) {
    const content = await contentOf(file)
    if (!content) continue
    const { entries, problems: found } = parseAuthorizedKeys(content.toString(), oneLine(file.written))
    problems.push(...found.map(({ file, line, message }) => `${file}:${line}: ${message}`))
    for (const entry of entries) {
      const isRevoked = revocations.some(list => list.isRevoked(entry.key))
      lines.push(`${name}: ${rightsText(entry, opens, isAuthority || entry.isCertAuthority, isRevoked)}`)
    }
  }
  return { lines, problems }
}

function rightsText(entry: AuthorizedKey, opens: readonly string[], isAuthority: boolean, isRevoked: boolean): string {
  const { comment, key, window, expiresAt, from } = entry
  const fingerprint = `SHA256:${key.fingerprint.toString('base64').replace(/=+$/, '')}`
  const who = [...(comment === '' ? [] : [oneLine(comment)]), fingerprint].join(' ')
  const subject = isAuthority ? `certificates of ${who}` : who
  if (isRevoked) return `${subject}: revoked`
  const services = opens.filter(service => entry.opens?.includes(service.replace(/^closes /, '')) ?? true)
  return [
    `${subject}: ${services.length > 0 ? services.join(', ') : 'nothing'}`,
    ...(window === null ? [] : [`for at most ${durationText(window)}`]),
    ...(from === null ? [] : [`from ${oneLine(from.text)}`]),
    ...(expiresAt === null ? [] : [`until ${new Date(expiresAt * 1000).toISOString()}`]),
  ].join(', ')
}
