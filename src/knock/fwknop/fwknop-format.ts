/**
 * The packet of fwknop 2.x and of its clients for telephones, encrypted by Rijndael: one UDP datagram of text. container.ts
 * has its outer layers, line.ts what it says.
 *
 * Taken are requests for access, with an HMAC and AES in CBC mode. Not taken are packets without an HMAC, because a
 * captured one can be rewritten so that it does not look like a replay; GnuPG; the other modes of AES; and commands and
 * address translation, which are refused with a reason of their own.
 *
 * A packet does not say which server or port it is for: servers that share keys take the same packets.
 */
import type { AskedPort, KnockFormat, VerifiedKnock } from '../format.js'
import type { HmacName } from './container.js'
import { firstCharacters, hmacLengths, makeContainer, openContainer, packetLengths } from './container.js'
import type { SpaLine } from './line.js'
import { makeLine, parseLine } from './line.js'

export const maxFwknopKey = 32
export const maxFwknopHmacKey = 136
export const fwknopPort = 62_201

/** What packets are checked against, and what they may ask for. */
export interface FwknopSecret {
  /** 1 to 32 bytes. */
  readonly key: Buffer
  /** 1 to 136 bytes. */
  readonly hmacKey: Buffer
  readonly hmac: HmacName
  /** The only name of a user that counts; null = any. */
  readonly user: string | null
  /** Whether a packet must name an address, and not leave it to the one that it comes from. */
  readonly requireSourceAddress: boolean
  /** Unix seconds; null = never. */
  readonly expires: number | null
  /** The longest time that a client may ask for, in seconds. */
  readonly maxWindow: number
}

const defaultUser = 'pkctl'
const defaultPorts: readonly AskedPort[] = [{ protocol: 'tcp', port: 22 }]
const saltLength = 8
const randomLength = 16

export const fwknop: KnockFormat<FwknopSecret> = {
  id: 'fwknop',
  payloadLength: Math.max(...Object.keys(hmacLengths).flatMap(name => packetLengths(name as HmacName))),
  carriesAddress: false,
  isForAnyPort: true,
  varied: {
    lengths: ({ hmac }) => packetLengths(hmac),
    firstBytes: [...Buffer.from(firstCharacters)].sort((a, b) => a - b),
  },
  secretOf: ({ key, hmacKey, hmac, user, requireSourceAddress, expires, maxWindow }) => ({
    key: Buffer.from(key),
    hmacKey: Buffer.from(hmacKey),
    hmac,
    user,
    requireSourceAddress,
    expires,
    maxWindow,
  }),
  identityOf: ({ key, hmacKey, hmac }) =>
    Buffer.concat([Buffer.from(`fwknop ${hmac} `), Buffer.from([key.length]), key, hmacKey]),
  firstWord: () => 0,
  verify(bytes, at, _port, secret, length) {
    const content = openContainer(bytes.subarray(at, at + length), secret)
    const line = content && parseLine(content)
    if (!line) return undefined
    const { time, asks, seconds } = line
    // Of the HMAC: no other spelling of it is taken, and none but who has its key can choose it.
    const digestAt = at + length - hmacLengths[secret.hmac]
    const until = secret.expires === null ? {} : { until: secret.expires }
    const knock = { time, digestAt, ...until }
    const refused = refusalOf(line, secret)
    if (refused) return { ...knock, refused }
    const { address, ports } = asks as Exclude<typeof asks, string | undefined>
    return {
      ...knock,
      ...(address === undefined ? {} : { sender: { version: 4, address } }),
      asks: { ports, ...(seconds === undefined ? {} : { seconds: Math.min(seconds, secret.maxWindow) }) },
    }
  },
  encode({ time, random, asks = { ports: defaultPorts } }, secret) {
    const bytes = random(randomLength)
    const number = bytes.readBigUInt64BE(saltLength) % 10n ** 16n
    const line = makeLine({
      random: String(number).padStart(16, '0'),
      time: Math.floor(time),
      ...asks,
      user: asks.user ?? secret.user ?? defaultUser,
    })
    return makeContainer(line, bytes.subarray(0, saltLength), secret)
  },
}

/** Why a packet that was made with the keys is not taken. */
function refusalOf({ user, asks }: SpaLine, secret: FwknopSecret): VerifiedKnock['refused'] {
  if (asks === 'command') return 'command-refused'
  if (asks === 'nat') return 'nat-refused'
  if (asks === undefined || user === undefined) return 'bad-message'
  if (secret.user !== null && user !== secret.user) return 'wrong-user'
  return secret.requireSourceAddress && asks.address === undefined ? 'source-not-named' : undefined
}
