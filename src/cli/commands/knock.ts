import type { Command } from 'commander'
import type { Caller, HostEntry, KnockFlags, KnockMethod } from '../../client/index.js'
import {
  closedHint,
  closeMethod,
  elapsedText,
  evaluatesSshConfig,
  findHost,
  NotSent,
  openMethod,
  revokeMethod,
  tryPort,
} from '../../client/index.js'
import { parsePort } from '../../net/index.js'
import type { Terminal } from '../../util/index.js'
import { usageError, UserError } from '../../util/index.js'
import { parseSeconds } from '../flags/flag-values.js'
import { callerOf, knockingCommand } from '../client/knock-command.js'
import { askSecret } from '../output/prompt.js'

interface Flags extends KnockFlags {
  readonly connect?: string
  readonly close?: boolean
  readonly timeout: string
  readonly verbose?: boolean
  readonly quiet?: boolean
}

const help = `
The host is a name from ~/.config/pkctl/hosts.yaml, or a name or address of the network. Without -4 or -6, pkctl knocks
over each version of IP for which the name has an address, because your next program can use either. Without --port, each
knock goes to a random port. If no option names the key, pkctl asks for it, or reads the first line of stdin from a pipe.

With the identity of the server and no key, an SSH key signs the knock: the one that ssh would use for the host, from a
file, ssh-agent or a security key, with its certificate if it has one.

With ports, or with a host entry that has a sequence, pkctl knocks at these ports instead: by TCP, or by UDP if the port
ends with :udp.

A host entry in hosts.yaml:
  home:
    host: server.example
    tag: SSHK
    key-file: ~/.config/pkctl/home.key
    connect: 22

With "identity: pk1:…" in place of tag and key-file, your SSH key signs the knock.

In ~/.ssh/config, so that ssh knocks first:
  Match host server.example exec "pkctl knock --quiet %h"

Exit status: 0 the knock was sent (with --connect: and the port is open), 1 it was not, 2 wrong usage.`

export function knockCommand(terminal: Terminal): Command {
  return knockingCommand('knock', '--port', '5s')
    .description('knock at a server, by a packet or a port sequence, and with --connect try the port at once')
    .argument('[ports...]', 'knock at these ports in their order, such as 7000 8000:udp, instead of sending a packet')
    .option('-u, --udp', 'use UDP for ports that name no protocol')
    .option('-d, --delay <ms>', 'milliseconds between the steps of a sequence (default: 20)')
    .option('-t, --answer-time <ms>', 'milliseconds that a TCP knock waits for an answer (default: 0)')
    .option('--on-behalf-of <address>', 'request access for this address, if the credential allows it')
    .option('--connect <port>', 'then try this TCP port at once, and report whether it is open')
    .option('--close', 'send the closing knock of the host entry, or a knock that revokes the grant')
    .option('-v, --verbose', 'print what is sent where')
    .addHelpText('after', help)
    .action((host: string, ports: string[], flags: Flags) => knock(host, ports, flags, terminal))
}

async function knock(name: string, ports: readonly string[], flags: Flags, terminal: Terminal): Promise<void> {
  // Asked by `Match exec`, while pkctl asks ssh for its keys. What the Match says counts, as it does after a knock.
  if (evaluatesSshConfig()) return
  if (flags.quiet && flags.verbose) throw usageError('--quiet and --verbose exclude each other')
  const caller = callerOf(name, terminal, flags.quiet, () => askSecret('key: '))
  const entry = await findHost(name, line => caller.warn(line))
  const timeout = parseSeconds('--timeout', flags.timeout) * 1000
  const method = flags.close
    ? await closingMethod(name, entry, ports, flags, caller)
    : await openMethod(entry, flags, caller, ports)
  const connectPort = flags.connect === undefined ? entry.connect : parsePort(flags.connect)

  const started = process.hrtime.bigint()
  let sent = 0
  for (const address of method.addresses) {
    try {
      const where = await method.send(address)
      sent++
      if (flags.verbose) terminal.out(`knocked at ${address.address} ${where}`)
    } catch (error) {
      // A name may have an address of an IP version that this machine does not have.
      if (method.addresses.length === 1 || !(error instanceof NotSent)) throw error
    }
  }
  if (sent === 0) throw new UserError(`no knock could be sent to ${method.host}`, 'is there a route to it?')
  if (connectPort !== undefined && !flags.close)
    await reportPort(method, connectPort, timeout, started, text => {
      if (!flags.quiet) terminal.out(text)
    })
}

async function closingMethod(
  name: string,
  entry: HostEntry,
  ports: readonly string[],
  flags: Flags,
  caller: Caller,
): Promise<KnockMethod> {
  if (ports.length > 0) throw usageError('--close knocks as the host entry says, and takes no ports')
  if (flags.connect !== undefined) throw usageError('--close and --connect exclude each other')
  if (flags.udp) throw usageError('--close knocks as the host entry says, and takes no --udp')
  const method = (await closeMethod(entry, flags, caller)) ?? (await revokeMethod(entry, flags, caller))
  if (method) return method
  throw usageError(
    `${name} has nothing to close with`,
    'in hosts.yaml, give it close-sequence, close-secret or close-secret-file, or close and the name of another host entry',
  )
}

async function reportPort(
  { addresses, kind }: KnockMethod,
  port: number,
  timeout: number,
  started: bigint,
  say: (text: string) => void,
): Promise<void> {
  try {
    const address = await Promise.any(addresses.map(target => tryPort(target, port, timeout)))
    say(`${address} port ${port}/tcp is open, ${elapsedText(started)} after the knock`)
  } catch (error) {
    const reasons = (error as AggregateError).errors as Error[]
    const why = reasons.map(({ message }) => message).join('; ')
    throw new UserError(`port ${port}/tcp is not open after ${elapsedText(started)}: ${why}`, closedHint(why, kind))
  }
}
