/**
 * Verifies knocks that keys of OpenSSH sign, in a thread of its own: decrypts the packet, finds whose key it is, and verifies
 * the signature last, because it takes the longest. Holds no state that a knock could change but the certificates whose CA
 * was verified.
 */
import { createHash } from 'node:crypto'
import { decryptSigned, signatureNamespace, wishesOf } from '../../knock/index.js'
import type { ServerKey } from '../../knock/index.js'
import type { AuthorizedKey, SshCertificate, SshPublicKey } from '../../knock/openssh/index.js'
import { certificateRefusal, parseCertificate, signedData, SshFormatError } from '../../knock/openssh/index.js'
import { prefixContains } from '../../net/index.js'
import { oneLine, Slices } from '../../util/index.js'
import type { Clock } from '../clock.js'
import type { KeyLine, KeyRing } from './key-ring.js'
import { authoritiesOf, principalsOf, readRing, usersOf } from './key-ring.js'
import type {
  AddedRights,
  CredentialKeys,
  KeysReport,
  KnockSigner,
  SignedJob,
  SignedOutcome,
  SignedRefusal,
  SignerRights,
} from './signature-job.js'

type Decrypted = Exclude<ReturnType<typeof decryptSigned>, string>

/** A line that the signer of a knock may be. */
interface CandidateLine extends KeyLine {
  readonly ring: KeyRing
  readonly key: SshPublicKey
  readonly certificate?: SshCertificate
  readonly signer: KnockSigner
}

const centuries = 200 * 365 * 86_400
/** Certificates whose CA was verified. */
const maxCertified = 1024

export class SignatureVerifier {
  #rings: readonly KeyRing[] = []
  /** Mostly one: all credentials have the server's own, unless the configuration says otherwise. */
  #serverKeys: readonly ServerKey[] = []
  /** Digests of certificates that their CA has signed. */
  readonly #certified = new Set<string>()

  constructor(readonly clock: Pick<Clock, 'now'>) {}

  /**
   * Verifies by these keys when they are read; until then, by those of before. Reads are not at the same time: to be called
   * again when the last one has resolved.
   */
  async configure(sets: readonly CredentialKeys[]): Promise<KeysReport[]> {
    const slices = new Slices()
    const read: Awaited<ReturnType<typeof readRing>>[] = []
    for (const set of sets) {
      const earlier = this.#rings.find(({ keys }) => keys.name === set.name)
      read.push(await readRing(set, earlier, slices))
    }
    this.#rings = read.map(({ ring }) => ring)
    const keys = sets.flatMap(({ identity, privateKey }) =>
      privateKey ? [{ identity: Buffer.from(identity), privateKey: Buffer.from(privateKey) }] : [],
    )
    this.#serverKeys = [...new Map(keys.map(key => [key.identity.toString('latin1'), key])).values()]
    return read.map(({ report }) => report)
  }

  /** Never rejects: what fails in an unforeseen way is refused, and ends no thread that others need. */
  async verify(job: SignedJob): Promise<SignedOutcome> {
    try {
      for (;;) {
        const rings = this.#rings
        const outcome = await this.#verify(job)
        // A key that was revoked meanwhile must not open; keys change rarely enough for this to end.
        if (rings === this.#rings) return outcome
      }
    } catch {
      return { kind: 'refused', id: job.id, reason: 'not-opened' }
    }
  }

  async #verify({ id, bytes, port, source }: SignedJob): Promise<SignedOutcome> {
    const refuse = (reason: SignedRefusal | 'skewed', whose: Partial<Pick<CandidateLine, 'ring' | 'signer'>> = {}) => {
      const { ring, signer } = whose
      return {
        kind: 'refused' as const,
        id,
        reason,
        ...(ring && { credential: ring.keys.name }),
        ...(signer && { signer }),
      }
    }
    const place = {
      bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length),
      at: 0,
      length: bytes.length,
      port,
    }
    const decrypted = this.#decrypt(place)
    if (!decrypted) return refuse('not-opened')
    const { knock, identity } = decrypted
    const found = this.#candidates(knock, port, identity)
    if (typeof found === 'string') return refuse(found)
    const { candidates, signer } = found
    const [first] = candidates
    if (!first) return refuse('unknown-key', { signer })
    const clockDifferenceSeconds = Math.floor(Number(knock.request.time) / 1000) - Math.floor(this.clock.now())
    const refusals = candidates.map(candidate => this.#refusalOf(candidate, clockDifferenceSeconds, source))
    const [reason] = refusals
    if (reason !== undefined && !refusals.includes(undefined)) {
      const refused = refuse(reason, first)
      return reason === 'skewed' ? { ...refused, clockDifferenceSeconds } : refused
    }
    const counting = candidates.filter((_, i) => refusals[i] === undefined)
    const lines = await this.#linesFor(counting, knock)
    if (typeof lines === 'string') return refuse(lines, counting[0])
    const [own, ...more] = lines
    if (!own) return refuse('bad-signature', counting[0])
    const request = { time: Number(knock.request.time), ...wishesOf(knock.request) }
    return {
      ...{ kind: 'verified', id, credential: own.credential, signer: own.signer, rights: own.rights },
      request: more.length > 0 && request.services.length > 0 ? { ...request, services: own.services } : request,
      ...(more.length > 0 && { more }),
    }
  }

  /**
   * The lines that open, together, what is asked for: each adds what those before it do not. Where nothing is named, all that
   * they open.
   */
  async #linesFor(counting: readonly CandidateLine[], knock: Decrypted): Promise<AddedRights[] | SignedRefusal> {
    const asked = knock.request.services
    const left = new Set(asked.length > 0 ? asked : counting.flatMap(servicesOf))
    if (!asked.every(service => counting.some(candidate => servicesOf(candidate).includes(service))))
      return 'service-not-allowed'
    const lines: AddedRights[] = []
    let revokes: boolean | undefined
    for (const candidate of counting) {
      const { ring, signer } = candidate
      const services = servicesOf(candidate).filter(service => left.has(service))
      // A line without services counts for its triggers, and alone.
      if (services.length === 0 && (asked.length > 0 || lines.length > 0)) continue
      if (revokes !== undefined && ring.keys.revokes !== revokes) continue
      if (!(await this.#isSigned(candidate, knock))) continue
      lines.push({ credential: ring.keys.name, signer, rights: this.#rightsOf(candidate, knock), services })
      revokes = ring.keys.revokes
      for (const service of services) left.delete(service)
    }
    return lines.length > 0 && asked.length > 0 && left.size > 0 ? 'service-not-allowed' : lines
  }

  #rightsOf({ line, certificate }: CandidateLine, { request }: Decrypted): SignerRights {
    const { opens, prefix4, prefix6, onBehalfOf } = line
    const window = Math.min(line.window ?? Infinity, secondsValid(line, certificate, this.clock.now()))
    const { other, host } = wishesOf(request)
    const asksOutside = [other, host].some(asked => asked !== null && isOutside(asked.address, line, certificate))
    return { opens, window: window === Infinity ? null : window, prefix4, prefix6, onBehalfOf, asksOutside }
  }

  #decrypt(place: Parameters<typeof decryptSigned>[0]): { knock: Decrypted; identity: Buffer } | undefined {
    for (const key of this.#serverKeys) {
      const knock = decryptSigned(place, key)
      if (typeof knock !== 'string') return { knock, identity: key.identity }
    }
    return undefined
  }

  /** All lines that have the key, in the order of the configuration. */
  #candidates(
    knock: Decrypted,
    port: number,
    identity: Buffer,
  ): { candidates: CandidateLine[]; signer: KnockSigner } | SignedRefusal {
    const rings = this.#rings.filter(
      ({ keys }) => identity.equals(keys.identity) && (keys.port === null || keys.port === port),
    )
    if ('fingerprint' in knock.signer) {
      const { fingerprint } = knock.signer
      const candidates = rings.flatMap(ring =>
        usersOf(ring, fingerprint).map(entry => {
          const user = entry.user ?? oneLine(entry.line.comment)
          const signer = { ...(user ? { user } : {}), fingerprint: fingerprintText(fingerprint) }
          return { ...entry, ring, key: entry.line.key, signer }
        }),
      )
      return { candidates, signer: { fingerprint: fingerprintText(fingerprint) } }
    }
    let certificate: SshCertificate
    try {
      certificate = parseCertificate(knock.signer.certificate)
    } catch (error) {
      if (!(error instanceof SshFormatError)) throw error
      return 'bad-certificate'
    }
    const { publicKey: key, caKey, keyId, serial } = certificate
    const signer: KnockSigner = {
      ...{ fingerprint: fingerprintText(key.fingerprint), authority: fingerprintText(caKey.fingerprint) },
      ...{ keyId: oneLine(keyId), serial: String(serial) },
    }
    const candidates = rings.flatMap(ring =>
      authoritiesOf(ring, caKey.fingerprint).map(entry => {
        const accepted = principalsOf(ring, entry)
        const principal = certificate.principals.find(name => accepted.includes(name))
        // In a home, its owner writes the names of lines and of principals, and could write that of another user.
        const user = principal && (entry.user ?? principal)
        return { ...entry, ring, key, certificate, signer: { ...(user ? { user: oneLine(user) } : {}), ...signer } }
      }),
    )
    return { candidates, signer }
  }

  /** Why this line lets the signer do nothing, by the cheap checks, before the signature is verified. */
  #refusalOf(
    { ring, line, key, certificate, user }: CandidateLine,
    clockDifferenceSeconds: number,
    source: string,
  ): SignedRefusal | 'skewed' | undefined {
    const { skew } = ring.keys
    if (skew >= 0 && Math.abs(clockDifferenceSeconds) > skew) return 'skewed'
    if (ring.isShut) return 'revocations-unknown'
    const subject = certificate ?? key
    if (ring.revocations.some(({ list }) => list.isRevoked(subject))) return 'revoked'
    const now = Math.floor(this.clock.now())
    if (line.expiresAt !== null && now > line.expiresAt) return 'key-expired'
    if (line.from?.matches(source) === false) return 'source-not-allowed'
    if (certificate) {
      const refusal = certificateRefusal(certificate, { now, source, principals: principalsOf(ring, { line, user }) })
      if (refusal !== undefined) return refusal
    }
    return undefined
  }

  async #isSigned({ line, key, certificate }: CandidateLine, knock: Decrypted): Promise<boolean> {
    const { flags, counter, signature, message } = knock
    // Of a key without a token they mean nothing, and zero is their one spelling.
    if (!key.isToken && (flags !== 0 || counter !== 0)) return false
    const statement = key.isToken ? { flags, counter } : undefined
    const demands = {
      touch: line.demands.touch || certificate?.extensions.has('no-touch-required') === false,
      verification: line.demands.verification || certificate?.criticalOptions.verifyRequired === true,
    }
    if (!(await key.verifyAsync(signedData(signatureNamespace, message), signature, statement, demands))) return false
    return certificate ? this.#isCertified(certificate) : true
  }

  async #isCertified(certificate: SshCertificate): Promise<boolean> {
    const digest = createHash('sha256').update(certificate.blob).digest().toString('latin1')
    if (this.#certified.has(digest)) return true
    if (!(await certificate.verifyCaAsync())) return false
    if (this.#certified.size >= maxCertified) this.#certified.clear()
    this.#certified.add(digest)
    return true
  }
}

/** How long the key, or certificate, is valid from now on: no grant of it lasts longer. At least a second, for it is valid now. */
function secondsValid({ expiresAt }: AuthorizedKey, certificate: SshCertificate | undefined, now: number): number {
  // A key counts up to the second at which it expires, and a certificate up to the one before.
  const end = Math.min(expiresAt === null ? Infinity : expiresAt + 1, Number(certificate?.validBefore ?? Infinity))
  // The kernel takes no time of centuries: what is valid for longer than these years is valid for ever.
  return end - now > centuries ? Infinity : Math.max(1, Math.floor(end - now))
}

/**
 * Whether a knock for this address asks for access from where its signer may not come from. An `obo` of the line that has the
 * address says that it may be asked for all the same.
 */
function isOutside(address: string, line: AuthorizedKey, certificate: SshCertificate | undefined): boolean {
  if (line.onBehalfOf.some(prefix => prefixContains(prefix, address))) return false
  const sources = certificate?.criticalOptions.sourceAddress
  return line.from?.matches(address) === false || sources?.some(prefix => prefixContains(prefix, address)) === false
}

/** What the line lets its signer ask for. */
const servicesOf = ({ ring, line }: CandidateLine): readonly string[] =>
  ring.keys.opens.filter(service => line.opens?.includes(service) ?? true)

const fingerprintText = (fingerprint: Buffer) => `SHA256:${fingerprint.toString('base64').replace(/=+$/, '')}`
