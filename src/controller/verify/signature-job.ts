/** What the packet worker and the thread that verifies signatures send each other: plain values, and no functions. */
import type { Wishes } from '../../knock/index.js'

/** Why a knock is refused that a key of OpenSSH should have signed. None of them needs a key that counts here. */
export const signedRefusals = [
  'not-opened',
  'unknown-key',
  'bad-certificate',
  'revoked',
  'revocations-unknown',
  'key-expired',
  'certificate-expired',
  'certificate-not-yet-valid',
  'wrong-principal',
  'source-not-allowed',
  'service-not-allowed',
  'bad-signature',
] as const
export type SignedRefusal = (typeof signedRefusals)[number]

/** A packet to verify, which has the check of the server's identity. */
export interface SignedJob {
  readonly id: number
  /** The UDP payload. */
  readonly bytes: Uint8Array
  /** The UDP port that it was sent to. */
  readonly port: number
  /** Its source address, in the spelling of nft. */
  readonly source: string
}

/** Who has signed, or says so; for the log. */
export interface KnockSigner {
  /** The comment of the key, or a principal of the certificate. */
  readonly user?: string
  /** As ssh-keygen prints it. */
  readonly fingerprint: string
  /** Of a certificate: the fingerprint of its CA, its key id, and its serial number. */
  readonly authority?: string
  readonly keyId?: string
  readonly serial?: string
}

/** What a knock asks for. */
interface SignedRequest extends Wishes {
  /** Unix milliseconds. */
  readonly time: number
}

/** What the line of the key, or of the CA, allows. */
export interface SignerRights {
  /** Null = all that the credential opens. */
  readonly opens: readonly string[] | null
  /** Seconds, at most, and not after the key or certificate expires; null = what the credential grants. */
  readonly window: number | null
  /** The shortest prefixes of the source that may be asked for, in bits; null where none may. */
  readonly prefix4: number | null
  readonly prefix6: number | null
  /** Where other addresses may be asked for; empty = wherever the credential allows it. */
  readonly onBehalfOf: readonly string[]
  /** Whether it asks for another address that its key or certificate may not come from, and `onBehalfOf` does not have. */
  readonly asksOutside: boolean
}

/** A line that counts for a signer, and what it adds to the lines before it. */
export interface AddedRights {
  readonly credential: string
  readonly signer: KnockSigner
  readonly rights: SignerRights
  /** Those that no line before it opens; at least one. */
  readonly services: readonly string[]
}

/** Of one job. */
export type SignedOutcome =
  | {
      readonly kind: 'verified'
      readonly id: number
      readonly credential: string
      readonly signer: KnockSigner
      readonly rights: SignerRights
      readonly request: SignedRequest
      /** Of other credentials, or lines, that open more of what is asked for. */
      readonly more?: readonly AddedRights[]
    }
  | {
      readonly kind: 'refused'
      readonly id: number
      readonly reason: SignedRefusal | 'skewed'
      readonly credential?: string
      readonly signer?: KnockSigner
      /** How far the clock of the sender is ahead; with `skewed`. */
      readonly clockDifferenceSeconds?: number
    }

/** The content of a file of keys. */
interface KeyFileContent {
  readonly role: 'authorized' | 'authority' | 'revoked'
  /** As the configuration names it. */
  readonly file: string
  /** In whose home directory it is. */
  readonly user: string | null
  readonly content: Uint8Array
}

/** What the signatures for one credential are verified by. */
export interface CredentialKeys {
  readonly name: string
  /** Names of the services that a knock opens, or closes: those that it can ask for. */
  readonly opens: readonly string[]
  /** UDP port that knocks must be sent to; null for every port. */
  readonly port: number | null
  readonly identity: Uint8Array
  /** Null where this server does not have it: no knock can be decrypted. */
  readonly privateKey: Uint8Array | null
  readonly principals: readonly string[]
  /** Seconds either way; -1 for any clock. */
  readonly skew: number
  /** Whether its knocks revoke what `opens` names. */
  readonly revokes: boolean
  readonly files: readonly KeyFileContent[]
  /** Whether what is revoked is not known, so that no key counts. */
  readonly isShut: boolean
}

/** What was found in the files of one credential. */
export interface KeysReport {
  readonly credential: string
  readonly keys: number
  readonly authorities: number
  /** Lines and files that do not count; one line each, without a full stop. */
  readonly problems: readonly string[]
}
