/**
 * Vectors of signed knocks with certificates and FIDO tokens: what a file of them has. They are judged by the verifier of the
 * daemon itself, and their signatures by ssh-keygen.
 */
import * as fs from 'node:fs'
import path from 'node:path'
import type { SignedRefusal } from '../../src/controller/verify/signature-job.js'
import { root } from './commands.js'

export interface SignerVector {
  /** Begins with the outcome: `accepted: …`, or why it is refused: `revoked: …`. */
  readonly name: `${'accepted' | SignedRefusal}: ${string}`
  /** Hex. */
  readonly payload: string
  /** The address that it comes from. */
  readonly source: string
  /** Unix seconds at which it arrives. */
  readonly now: number
  /** The user of an accepted one. */
  readonly user?: string
}

export interface SignerVectors {
  readonly about: string
  readonly server: { readonly identity: string; readonly privateKey: string }
  readonly port: number
  /** Contents of files of keys, CAs and revoked keys. */
  readonly authorized: string
  readonly authority: string
  readonly revoked: string
  /** Of which a certificate must have one. */
  readonly principals: readonly string[]
  readonly cases: readonly SignerVector[]
}

export const signerVectorsFile = path.join(root, 'test/vectors/knock/signers.json')
export const readSignerVectors = (): SignerVectors =>
  JSON.parse(fs.readFileSync(signerVectorsFile, 'utf8')) as SignerVectors
