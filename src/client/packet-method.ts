/** Knocks of one packet that is made with a key which the server has as well. */
import { randomBytes } from 'node:crypto'
import { knockFormats } from '../config/credentials/credential-types.js'
import type { PkdSecret, SymmetricSecret } from '../knock/index.js'
import { defaultTag, parsePkdKey, parseSymmetricKey, parseTag, sealSymmetric } from '../knock/index.js'
import { usageError, UserError } from '../util/index.js'
import type { PkdHostEntry, SymmetricHostEntry } from './host-entry.js'
import type { KnockFlags } from './knock-flags.js'
import type { Caller, KnockMethod } from './knock-method.js'
import { parseHostIdentity, readWishes } from './make-signed-knock.js'
import { checkNotSigned, checkPacketFlags, portChooser } from './method-flags.js'
import { findKey } from './read-key.js'
import type { Address } from './send.js'
import { sendDatagram } from './send.js'
import { serverAddresses } from './server-addresses.js'
import { bytesOf } from './wishes.js'

export async function pkdMethod(entry: PkdHostEntry, flags: KnockFlags, caller: Caller): Promise<KnockMethod> {
  checkPacketFlags(flags, 'a PKD knock')
  checkNotSigned(flags, 'a PKD knock')
  const tag = parseTag(flags.tag ?? entry.tag ?? defaultTag)
  const asked = flags.onBehalfOf === undefined ? {} : { address: bytesOf(flags.onBehalfOf) }
  const addresses = await serverAddresses(entry, flags)
  const secret: PkdSecret = { tag, key: await findKey(flags, entry, caller, parsePkdKey) }
  return packetMethod('pkd', entry, flags, addresses, request =>
    knockFormats.encode('pkd', { ...request, ...asked }, secret),
  )
}

export async function symmetricMethod(
  entry: SymmetricHostEntry,
  flags: KnockFlags,
  caller: Caller,
  close = false,
): Promise<KnockMethod> {
  checkPacketFlags(flags, 'a symmetric knock')
  if (flags.tag !== undefined) throw usageError('a symmetric knock has no --tag', 'it is for PKD knocks')
  if ((flags.sshKey ?? flags.prefix) !== undefined)
    throw usageError('a symmetric knock has no --ssh-key or --prefix', 'they are for knocks that an SSH key signs')
  const wishes = readWishes(flags, flags.onBehalfOf === undefined ? null : bytesOf(flags.onBehalfOf), close)
  const identity = parseHostIdentity(entry.identity)
  const addresses = await serverAddresses(entry, flags)
  const secret: SymmetricSecret = { identity, key: await findKey(flags, entry, caller, parseSymmetricKey) }
  return packetMethod('symmetric', entry, flags, addresses, ({ port, time, random }) => {
    const packet = sealSymmetric({ ...wishes, time: BigInt(Math.floor(time * 1000)) }, port, random(16), secret)
    if (packet) return packet
    throw new UserError(`the names of ${wishes.services.length} services do not fit into one knock`, 'knock twice')
  })
}

interface PacketRequest {
  readonly port: number
  /** Unix seconds, with their fraction. */
  readonly time: number
  readonly random: (size: number) => Buffer
}

function packetMethod(
  kind: 'pkd' | 'symmetric',
  entry: PkdHostEntry | SymmetricHostEntry,
  flags: KnockFlags,
  addresses: readonly Address[],
  encode: (request: PacketRequest) => Buffer,
): KnockMethod {
  const choosePort = portChooser(entry, flags)
  return {
    host: entry.host,
    addresses,
    kind,
    async send(address) {
      const port = choosePort()
      await sendDatagram(address, port, encode({ port, time: Date.now() / 1000, random: randomBytes }))
      return `port ${port}/udp`
    },
  }
}
