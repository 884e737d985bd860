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
import type { SshCertificate, SshPublicKey, SshSignature } from '../../knock/openssh/index.js'
import {
  isCertificateType,
  parseCertificate,
  parsePublicKey,
  parseSignature,
  signedData,
  SshFormatError,
  SshReader,
} from '../../knock/openssh/index.js'
import type { Execute } from '../../util/index.js'
import { UserError } from '../../util/index.js'
import type { AgentKey } from './agent.js'
import { AgentError, agentKeys, agentSignature } from './agent.js'
import { certificateIn, isPrivate, publicKeyOf } from './key-files.js'
import { signWithFile } from './keygen-sign.js'
import type { SshConfig } from './ssh-config.js'
import { agentOf, expander, readSshConfig } from './ssh-config.js'

/** Every signature of a knock is within it. */
export const knockNamespace = 'knock@pkctl'

interface KnockSigner {
  readonly key: SshPublicKey
  readonly certificate?: SshCertificate
  /** Where the key is, in words. */
  readonly from: string
  /** Throws a UserError. */
  sign(message: Buffer): Promise<SshSignature>
}

interface Wanted {
  /** As ssh is told it. */
  readonly host: string
  /** The key file of the host entry. */
  readonly identityFile?: string | undefined
  readonly certificateFile?: string | undefined
  /** As ssh's IdentityAgent. */
  readonly identityAgent?: string | undefined
}

interface Surroundings {
  readonly execute: Execute
  /** Unix seconds. */
  readonly now: number
  /** Says something to the person, one line. */
  readonly say: (line: string) => void
}

/** Throws a UserError when there is no key that can sign a knock. */
export async function findSigner(wanted: Wanted, surroundings: Surroundings): Promise<KnockSigner> {
  const config = withEntry(await readSshConfig(wanted.host, surroundings.execute), wanted)
  const { keys: held, problem } = await keysOfAgent(config.agent)
  const finder = new SignerFinder(config, held, surroundings)
  const signer = finder.find()
  if (signer) return signer
  throw noSigner(config, finder.refusals, problem)
}

/** What the host entry says goes before what ssh's configuration says. */
function withEntry(config: SshConfig, { host, identityFile, certificateFile, identityAgent }: Wanted): SshConfig {
  const expand = expander({ hostName: config.hostName, host, port: String(config.port), user: '' })
  return {
    ...config,
    ...(identityFile !== undefined && {
      identityFiles: [{ file: expand(identityFile), isChosen: true }],
      identitiesOnly: true,
    }),
    ...(certificateFile !== undefined && { certificateFiles: [expand(certificateFile)] }),
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
      ? 'ssh-keygen -t ed25519 makes a key'
      : 'ssh-add adds a key to the agent, and ssh-add -X unlocks it'
  return new UserError(why === '' ? what : `${what}: ${why}`, hint)
}

/** A key of which the agent or a file has the private half. */
interface Candidate {
  readonly key: SshPublicKey
  readonly certificates: readonly SshCertificate[]
  /** The blob by which the agent knows it. */
  readonly inAgent?: Buffer
  readonly file?: string
}

class SignerFinder {
  /** Why keys that were found cannot be used. */
  readonly refusals: string[] = []
  readonly #held: readonly {
    readonly blob: Buffer
    readonly key: SshPublicKey
    readonly certificate?: SshCertificate
  }[]

  constructor(
    readonly config: SshConfig,
    held: readonly AgentKey[],
    readonly surroundings: Surroundings,
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

  find(): KnockSigner | undefined {
    const files = this.config.identityFiles.map(({ file, isChosen }) => ({ isChosen, candidate: this.#ofFile(file) }))
    const ofFiles = (isChosen: boolean) =>
      files.flatMap(one => (one.isChosen === isChosen && one.candidate ? [one.candidate] : []))
    const defaults = ofFiles(false)
    const ofAgent = this.config.identitiesOnly ? [] : this.#held.map(({ key }) => this.#candidate(key))
    const [first] = [...ofFiles(true), ...defaults.filter(({ inAgent }) => inAgent), ...ofAgent, ...defaults]
    return first && this.#signer(first)
  }

  #ofFile(file: string): Candidate | undefined {
    const key = publicKeyOf(file)
    if (key === undefined) return undefined
    if (key instanceof SshFormatError) {
      this.refusals.push(`${file}: ${key.message}`)
      return undefined
    }
    const candidate = this.#candidate(key, file)
    if (candidate.inAgent || candidate.file !== undefined) return candidate
    this.refusals.push(`${file} has no private key, and the ssh-agent does not have it`)
    return undefined
  }

  #candidate(key: SshPublicKey, file?: string): Candidate {
    const held = this.#held.filter(one => one.key.blob.equals(key.blob))
    const inAgent = (held.find(({ certificate }) => !certificate) ?? held[0])?.blob
    const beside = file === undefined ? [] : [`${file}-cert.pub`]
    const read = [...this.config.certificateFiles, ...beside].flatMap(name => this.#certificate(name))
    const certificates = [...read, ...held.flatMap(({ certificate }) => certificate ?? [])]
    return {
      key,
      certificates: certificates.filter(one => one.publicKey.blob.equals(key.blob) && this.#isCurrent(one)),
      ...(inAgent && { inAgent }),
      ...(file !== undefined && isPrivate(file) && { file }),
    }
  }

  #certificate(file: string): SshCertificate[] {
    const certificate = certificateIn(file)
    if (certificate === undefined) return []
    if (!(certificate instanceof SshFormatError)) return [certificate]
    this.surroundings.say(`${file} is not used: ${certificate.message}`)
    return []
  }

  #isCurrent({ keyId, validAfter, validBefore }: SshCertificate): boolean {
    const now = BigInt(Math.floor(this.surroundings.now))
    if (now >= validAfter && now < validBefore) return true
    this.surroundings.say(
      `the certificate '${keyId}' is not used: it ${now < validAfter ? 'is not yet valid' : 'has expired'}`,
    )
    return false
  }

  #signer({ key, certificates: [certificate], inAgent, file }: Candidate): KnockSigner {
    const { agent } = this.config
    return {
      key,
      ...(certificate && { certificate }),
      from: inAgent ? 'the ssh-agent' : (file ?? ''),
      sign: async message => {
        const byAgent = agent !== undefined && inAgent !== undefined
        const made = byAgent ? await this.#withAgent(agent, inAgent, key, message, file) : undefined
        return made ?? this.#withFile(file ?? '', key, message)
      },
    }
  }

  /** Undefined when the agent refuses, and a file has the key, too. */
  async #withAgent(
    agent: string,
    blob: Buffer,
    key: SshPublicKey,
    message: Buffer,
    file: string | undefined,
  ): Promise<SshSignature | undefined> {
    this.#announceTouch(key)
    try {
      return parseSignature(await agentSignature(agent, blob, signedData(knockNamespace, message)), key.type)
    } catch (error) {
      if (error instanceof SshFormatError) throw new UserError(`the ssh-agent signs in another way: ${error.message}`)
      if (!(error instanceof AgentError)) throw error
      if (file === undefined) throw new UserError(`${error.message} to sign`, refusalHint)
      this.surroundings.say(`${error.message} to sign; ${file} is used`)
      return undefined
    }
  }

  #withFile(file: string, key: SshPublicKey, message: Buffer): Promise<SshSignature> {
    this.#announceTouch(key)
    return signWithFile(file, key, knockNamespace, message)
  }

  #announceTouch({ isToken }: SshPublicKey): void {
    if (isToken) this.surroundings.say('touch your security key to sign the knock')
  }
}

const refusalHint = 'unlock it with ssh-add -X, or confirm when it asks'

/** A key or certificate that the agent has. Throws a SshFormatError for one that signs no knocks. */
function readHeld(blob: Buffer): { blob: Buffer; key: SshPublicKey; certificate?: SshCertificate } {
  const type = new SshReader(blob, 'the key').text()
  if (!isCertificateType(type)) return { blob, key: parsePublicKey(blob) }
  const certificate = parseCertificate(blob)
  return { blob, key: certificate.publicKey, certificate }
}
