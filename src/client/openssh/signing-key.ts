/** A key that signs knocks, by the ssh-agent that has it or with its file. */
import { signatureNamespace } from '../../knock/index.js'
import type { SshCertificate, SshPublicKey, SshSignature } from '../../knock/openssh/index.js'
import { parseSignature, signedData, SshFormatError } from '../../knock/openssh/index.js'
import type { Execute } from '../../util/index.js'
import { UserError } from '../../util/index.js'
import { AgentError, agentSignature } from './agent.js'
import { isEncrypted } from './identity-files.js'
import { signWithFile } from './keygen-sign.js'

export interface SigningKey {
  readonly key: SshPublicKey
  readonly certificate?: SshCertificate
  /** Where the key is, in words. */
  readonly from: string
  /** Whether a person has to do something for each signature: touch a token, type a passphrase. */
  readonly asksPerson: boolean
  /** Throws a UserError. */
  sign(message: Buffer): Promise<SshSignature>
}

/** A key of which the agent or a file has the private half. */
export interface UsableKey {
  readonly key: SshPublicKey
  readonly certificates: readonly SshCertificate[]
  /** The blob by which the agent knows it. */
  readonly inAgent?: Buffer
  readonly file?: string
}

export interface SignerContext {
  readonly execute: Execute
  /** Unix seconds. */
  readonly now: number
  /** Tells the person something, one line. */
  readonly say: (line: string) => void
  /** Asks the person to do something, one line. Default: `say`. */
  readonly ask?: (line: string) => void
}

const refusalHint = 'unlock it with ssh-add -X, or confirm when it asks'

/** Makes signatures by the agent, or with the file. */
export function signingKey(usable: UsableKey, agent: string | undefined, context: SignerContext): SigningKey {
  const {
    key,
    certificates: [certificate],
    inAgent,
    file,
  } = usable
  return {
    key,
    ...(certificate && { certificate }),
    from: inAgent ? 'the ssh-agent' : (file ?? ''),
    asksPerson: key.isToken || (inAgent === undefined && file !== undefined && isEncrypted(file)),
    sign: async message => {
      const byAgent = agent !== undefined && inAgent !== undefined
      const made = byAgent ? await signWithAgent(agent, inAgent, usable, message, context) : undefined
      if (made) return made
      announceTouch(key, context)
      return signWithFile(file ?? '', key, signatureNamespace, message)
    },
  }
}

/** Undefined when the agent refuses, and a file has the key, too. */
async function signWithAgent(
  agent: string,
  blob: Buffer,
  { key, file }: UsableKey,
  message: Buffer,
  context: SignerContext,
): Promise<SshSignature | undefined> {
  announceTouch(key, context)
  try {
    return parseSignature(await agentSignature(agent, blob, signedData(signatureNamespace, message)), key.type)
  } catch (error) {
    if (error instanceof SshFormatError)
      throw new UserError(`the signature of the ssh-agent cannot be used: ${error.message}`)
    if (!(error instanceof AgentError)) throw error
    if (file === undefined) throw new UserError(`${error.message} to sign`, refusalHint)
    context.say(`${error.message} to sign; ${file} is used`)
    return undefined
  }
}

function announceTouch({ isToken }: SshPublicKey, context: SignerContext): void {
  if (isToken) (context.ask ?? context.say)('touch your security key to sign the knock')
}
