/** Knocks that an SSH key signs. */
import { isIP } from 'node:net'
import { execute, usageError } from '../util/index.js'
import type { SshHostEntry } from './host-entry.js'
import type { KnockFlags } from './knock-flags.js'
import type { Caller, KnockMethod } from './knock-method.js'
import { parseHostIdentity, readWishes, SignedKnocks } from './make-signed-knock.js'
import { checkPacketFlags, portChooser } from './method-flags.js'
import { readSshConfig } from './openssh/ssh-config.js'
import { sendDatagram } from './send.js'
import { serverAddresses } from './server-addresses.js'
import { bytesOf } from './wishes.js'

export async function signedMethod(
  named: SshHostEntry,
  flags: KnockFlags,
  { name, warn, ask }: Caller,
  close = false,
): Promise<KnockMethod> {
  checkPacketFlags(flags, 'a signed knock')
  if (flags.tag !== undefined) throw usageError('a signed knock has no --tag', 'it is for PKD knocks')
  const identity = parseHostIdentity(named.identity)
  const wishes = readWishes(flags, flags.onBehalfOf === undefined ? null : bytesOf(flags.onBehalfOf), close, named)
  // Other knocks do without it.
  const { findSigner } = await import('./openssh/find-signer.js')
  // Without a host entry, a name is what it is to ssh.
  const isAlias = named.host === name && isIP(name) === 0
  const entry = isAlias ? { ...named, host: (await readSshConfig(name, execute)).hostName } : named
  const addresses = await serverAddresses(entry, flags)
  const wanted = {
    host: name,
    otherName: entry.host,
    identityFile: entry['ssh-key'],
    certificateFile: entry.certificate,
    identityAgent: entry['identity-agent'],
  }
  if (flags.prefix !== undefined && !close)
    warn(
      `the grant is for the prefix that the service has, which may be another than ${flags.prefix} bits; no answer says which, but 'pkctl log' of the server does`,
    )
  const signer = await findSigner(wanted, { execute, now: Date.now() / 1000, say: warn, ask })
  const knocks = new SignedKnocks(identity, wishes, signer, warn)
  const choosePort = portChooser(entry, flags)
  return {
    host: entry.host,
    addresses,
    kind: 'signed',
    async send(address) {
      const { bytes, port } = await knocks.make(address.address, choosePort)
      await sendDatagram(address, port, bytes)
      return `port ${port}/udp`
    },
  }
}
