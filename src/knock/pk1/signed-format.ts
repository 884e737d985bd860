/**
 * Packets that an OpenSSH key signs, as far as they are known before they are decrypted. Who signs stands in the sealed part,
 * and to decrypt it and to verify the signature takes much longer than all else: both are left to another thread.
 */
import { hasRightCheck, saltAt } from './envelope.js'
import { filterKeys } from './identity.js'
import { certificatePacketLength, keyPacketLength } from './signed.js'
import { packetPrefix, periodAt, periodSeconds } from './period.js'

/** Whom the packets are sent to. */
export interface SignedSecret {
  /** 32 bytes: the server's public key. */
  readonly identity: Buffer
}

const lengths = [keyPacketLength, certificatePacketLength]

export const signedFormat = {
  /** Bytes of UDP payload. */
  lengths,
  /** How long packets begin alike. Those of the periods before and after the present one count as well. */
  periodSeconds,
  /** The offset of the 16 bytes by which replays are recognised. */
  digestAt: saltAt,
  /** Of a credential of the configuration, or of what was posted from another thread. */
  secretOf: ({ identity }: SignedSecret): SignedSecret => ({ identity: Buffer.from(identity) }),
  /**
   * The same for all credentials of one server: a knock that one of them has honoured, no other one honours again, however
   * the keys are moved between them.
   */
  identityOf: ({ identity }: SignedSecret): Buffer => Buffer.concat([Buffer.from('signed '), identity]),
  /** The first eight bytes of each packet at this time, in Unix seconds, as two big-endian numbers. */
  wordsOf({ identity }: SignedSecret, time: number): readonly [number, number] {
    const prefix = packetPrefix(filterKeys(identity), periodAt(time))
    return [prefix.readUInt32BE(0), prefix.readUInt32BE(4)]
  },
  /** Whether the `length` bytes at `at` were made by a sender who knows the identity, and are as they were. */
  isFor: (bytes: Buffer, at: number, length: number, { identity }: SignedSecret): boolean =>
    hasRightCheck(filterKeys(identity), { bytes, at, length, port: 0 }),
}

export type SignedFormat = typeof signedFormat
