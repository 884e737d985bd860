/**
 * Which key signs a knock. ssh offers its keys one after the other, and the server says which one it takes; a knock gets
 * no answer, so one key is chosen:
 *
 * 1. the key that the host entry names, or else those that ssh's configuration names for the host, in its order;
 * 2. the keys of the agent, those first of which there is a default file; not with `IdentitiesOnly`;
 * 3. the default files.
 *
 * The agent signs where it has the key, otherwise ssh-keygen with the file. A certificate goes before its plain key if it
 * is valid at the moment: `-cert.pub` beside the key, one of `CertificateFile`, or one that the agent has.
 */
import * as os from 'node:os'
import type { SshCertificate, SshPublicKey } from '../../knock/openssh/index.js'
import {
  isCertificateType,
  parseCertificate,
  parsePublicKey,
  SshFormatError,
  SshReader,
} from '../../knock/openssh/index.js'
import type { Execute } from '../../util/index.js'
import { UserError } from '../../util/index.js'
import type { AgentKey } from './agent.js'
import { AgentError, agentKeys } from './agent.js'
import { certificateIn, isPrivate, publicKeyInFile } from './identity-files.js'
import type { SignerContext, SigningKey, UsableKey } from './signing-key.js'
import { signingKey } from './signing-key.js'
import type { SshConfig } from './ssh-config.js'
import { agentOf, expander, readSshConfig } from './ssh-config.js'

interface Wanted {
  /** As ssh is told it. */
  readonly host: string
  /** Another name of the host, asked for where ssh's configuration has no key for the first. */
  readonly otherName?: string
  /** The key file of the host entry. */
  readonly identityFile?: string | undefined
  readonly certificateFile?: string | undefined
  /** As ssh's IdentityAgent. */
  readonly identityAgent?: string | undefined
}

/** Throws a UserError when there is no key that can sign a knock. */
export async function findSigner(wanted: Wanted, context: SignerContext): Promise<SigningKey> {
  const config = withEntry(await configOf(wanted, context.execute), wanted)
  const { keys: held, problem } = await keysOfAgent(config.agent)
  const finder = new SignerFinder(config, held, context)
  const signer = finder.find()
  if (!signer) throw noSigner(config, finder.refusals, problem)
  const { namedCertificate } = config
  if (namedCertificate === undefined || signer.certificate) return signer
  const [reason = 'it is for another key than the one that signs'] = finder.certificateRefusals
  throw new UserError(`the certificate ${namedCertificate} cannot be used: ${reason}`, certificateHint)
}

interface SignerConfig extends SshConfig {
  /** The one of the host entry: no other certificate counts. */
  readonly namedCertificate: string | undefined
}

async function configOf({ host, otherName }: Wanted, execute: Execute): Promise<SshConfig> {
  const namesKey = ({ identityFiles }: SshConfig) => identityFiles.some(({ isChosen }) => isChosen)
  const config = await readSshConfig(host, execute)
  if (otherName === undefined || otherName === host || namesKey(config)) return config
  const other = await readSshConfig(otherName, execute)
  return namesKey(other) ? other : config
}

/** What the host entry says goes before what ssh's configuration says. */
function withEntry(config: SshConfig, { host, identityFile, certificateFile, identityAgent }: Wanted): SignerConfig {
  const { hostName, port } = config
  const expand = expander({ hostName, host, port: String(port), user: os.userInfo().username })
  return {
    ...config,
    ...(identityFile !== undefined && {
      // The public half stands for the key, whose private half may be in the agent alone.
      identityFiles: [{ file: expand(identityFile).replace(/\.pub$/, ''), isChosen: true }],
      identitiesOnly: true,
    }),
    namedCertificate: certificateFile && expand(certificateFile),
    ...(identityAgent !== undefined && { agent: agentOf(identityAgent, expand) }),
  }
}

async function keysOfAgent(socket: string | undefined): Promise<{ keys: AgentKey[]; problem?: string }> {
  if (socket === undefined) return { keys: [] }
  try {
    const keys = await agentKeys(socket)
    return keys.length > 0 ? { keys } : { keys, problem: 'the ssh-agent has no keys, or is locked' }
  } catch (error) {
    if (!(error instanceof AgentError)) throw error
    return { keys: [], problem: error.message }
  }
}

function noSigner(config: SshConfig, refusals: readonly string[], problem: string | undefined): UserError {
  const [refusal] = refusals
  const why = [refusal, problem].filter(reason => reason !== undefined).join('; ')
  const what = `no SSH key can sign a knock for ${config.hostName}`
  const hint =
    problem === undefined || refusal !== undefined
      ? 'ssh-keygen -t ed25519 makes a key; the server needs its public half, and other keys can stay as they are'
      : 'ssh-add adds a key to the agent, and ssh-add -X unlocks it'
  return new UserError(why === '' ? what : `${what}: ${why}`, hint)
}

/** A key or certificate that the agent has. */
interface KeyInAgent {
  readonly blob: Buffer
  readonly key: SshPublicKey
  readonly certificate?: SshCertificate
}

class SignerFinder {
  /** Why keys that were found cannot be used. */
  readonly refusals: string[] = []
  /** Why the certificate of the host entry cannot. */
  readonly certificateRefusals: string[] = []
  readonly #held: readonly KeyInAgent[]

  constructor(
    readonly config: SignerConfig,
    held: readonly AgentKey[],
    readonly context: SignerContext,
  ) {
    this.#held = held.flatMap(({ blob, comment }) => {
      try {
        return [readHeld(blob)]
      } catch (error) {
        if (!(error instanceof SshFormatError)) throw error
        this.refusals.push(`${comment} in the ssh-agent: ${error.message}`)
        return []
      }
    })
  }

  find(): SigningKey | undefined {
    const files = this.config.identityFiles.map(({ file, isChosen }) => ({
      isChosen,
      candidate: this.#ofFile(file, isChosen),
    }))
    const ofFiles = (isChosen: boolean) =>
      files.flatMap(one => (one.isChosen === isChosen && one.candidate ? [one.candidate] : []))
    const defaults = ofFiles(false)
    const ofAgent = this.config.identitiesOnly ? [] : this.#held.map(({ key }) => this.#candidate(key))
    const all = [...ofFiles(true), ...defaults.filter(({ inAgent }) => inAgent), ...ofAgent, ...defaults]
    // A certificate that the host entry names is for one of them.
    const certified = all.find(({ certificates }) => certificates.length > 0)
    const best = (this.config.namedCertificate === undefined ? undefined : certified) ?? all[0]
    return best && signingKey(best, this.config.agent, this.context)
  }

  #ofFile(file: string, isChosen: boolean): UsableKey | undefined {
    const key = publicKeyInFile(file)
    if (key === undefined) {
      if (isChosen) this.refusals.push(`${file} does not exist`)
      return undefined
    }
    if (key instanceof SshFormatError) {
      this.refusals.push(`${file}: ${key.message}`)
      return undefined
    }
    const candidate = this.#candidate(key, file)
    if (candidate.inAgent || candidate.file !== undefined) return candidate
    this.refusals.push(`${file} has no private key, and the ssh-agent does not have it`)
    return undefined
  }

  #candidate(key: SshPublicKey, file?: string): UsableKey {
    const held = this.#held.filter(one => one.key.blob.equals(key.blob))
    const inAgent = (held.find(({ certificate }) => !certificate) ?? held[0])?.blob
    const certificates = this.#certificatesFor(file, held)
    return {
      key,
      certificates: certificates.filter(one => one.publicKey.blob.equals(key.blob) && this.#isCurrent(one)),
      ...(inAgent && { inAgent }),
      ...(file !== undefined && isPrivate(file) && { file }),
    }
  }

  #certificatesFor(file: string | undefined, held: readonly KeyInAgent[]): SshCertificate[] {
    const { namedCertificate, certificateFiles } = this.config
    if (namedCertificate !== undefined) return this.#certificate(namedCertificate)
    const beside = file === undefined ? [] : [`${file}-cert.pub`]
    const read = [...certificateFiles, ...beside].flatMap(name => this.#certificate(name))
    return [...read, ...held.flatMap(({ certificate }) => certificate ?? [])]
  }

  #certificate(file: string): SshCertificate[] {
    const certificate = certificateIn(file)
    if (certificate === undefined) this.certificateRefusals.push('the file does not exist')
    else if (certificate instanceof SshFormatError) this.#passOver(file, certificate.message)
    else return [certificate]
    return []
  }

  /** An error that names it follows where the host entry has named it. */
  #passOver(certificate: string, reason: string): void {
    this.certificateRefusals.push(reason)
    if (this.config.namedCertificate === undefined) this.context.say(`${certificate} is not used: ${reason}`)
  }

  #isCurrent({ keyId, validAfter, validBefore }: SshCertificate): boolean {
    const now = BigInt(Math.floor(this.context.now))
    if (now >= validAfter && now < validBefore) return true
    this.#passOver(`the certificate '${keyId}'`, `it ${now < validAfter ? 'is not yet valid' : 'has expired'}`)
    return false
  }
}

const certificateHint = 'ask for a new one, or take certificate out of the host entry to knock with the key alone'

/** Throws a SshFormatError for a key or certificate that signs no knocks. */
function readHeld(blob: Buffer): KeyInAgent {
  const type = new SshReader(blob, 'the key').text()
  if (!isCertificateType(type)) return { blob, key: parsePublicKey(blob) }
  const certificate = parseCertificate(blob)
  return { blob, key: certificate.publicKey, certificate }
}
