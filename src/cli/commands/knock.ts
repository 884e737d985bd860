import * as net from 'node:net'
import { Command } from 'commander'
import { parseDuration, parsePort } from '../../controller/config/values.js'
import type { Address, KnockFlags } from '../knocking.js'
import {
  addKnockOptions,
  closedHint,
  findTarget,
  knockAt,
  millisecondsSince,
  noAnswer,
  placeNamed,
  reasonFor,
} from '../knocking.js'
import { askSecret } from '../prompt.js'
import type { Terminal } from '../terminal.js'
import { CliError } from '../terminal.js'

interface Flags extends KnockFlags {
  readonly port?: string
  readonly connect?: string
  readonly timeout: string
  readonly verbose?: boolean
}

const knockHelp = `
The host is a name from ~/.config/pkctl/hosts.yaml, or a name or address of the network. Without -4 or -6 a knock goes
out over both versions of IP that the name has, because what connects next may take either. Without --port each knock
takes a random one. The key is asked for when no option names it; from a pipe, its first line is the key.

A place in hosts.yaml:
  home:
    host: server.example
    tag: SSHK
    key-file: ~/.config/pkctl/home.key
    connect: 22

Exit status: 0 sent (with --connect: and the port is open), 1 not, 2 wrong usage.`

export function knockCommand(terminal: Terminal): Command {
  const command = new Command('knock')
    .description('knock at a server: send one PKD packet, and with --connect try the port at once')
    .argument('<host>', 'a place of hosts.yaml, or a name or address')
    .option('--port <port>', 'UDP port to knock on (default: a random one)')
  return addKnockOptions(command)
    .option('--connect <port>', 'then try this TCP port at once, and tell')
    .option('--timeout <time>', 'how long to try', '5s')
    .option('-v, --verbose', 'say what is sent where')
    .addHelpText('after', knockHelp)
    .action((host: string, flags: Flags) => knock(host, flags, terminal))
}

async function knock(name: string, flags: Flags, terminal: Terminal): Promise<void> {
  const place = placeNamed(name)
  const connectPort = flags.connect === undefined ? place.connect : parsePort(flags.connect)
  const timeout = parseDuration(flags.timeout) * 1000
  const target = await findTarget(place, flags, flags.port, () => askSecret('key: '))

  const started = process.hrtime.bigint()
  let sent = 0
  for (const address of target.addresses) {
    try {
      const port = await knockAt(address, target)
      sent++
      if (flags.verbose) terminal.out(`knocked at ${address.address} port ${port}/udp`)
    } catch (error) {
      // A name may have an address of a version that this machine does not speak.
      if (target.addresses.length === 1) throw error
    }
  }
  if (sent === 0) throw new CliError(`no knock could be sent to ${target.host}`, 'is there a route to it?')
  if (connectPort !== undefined) await tryPort(target.addresses, connectPort, timeout, started, terminal)
}

async function tryPort(
  addresses: readonly Address[],
  port: number,
  timeout: number,
  started: bigint,
  terminal: Terminal,
): Promise<void> {
  try {
    const address = await Promise.any(addresses.map(target => connect(target, port, timeout)))
    terminal.out(`${address} port ${port}/tcp is open, ${millisecondsSince(started)} after the knock`)
  } catch (error) {
    const reasons = (error as AggregateError).errors as Error[]
    const why = reasons.map(({ message }) => message).join('; ')
    throw new CliError(`port ${port}/tcp is not open after ${millisecondsSince(started)}: ${why}`, closedHint)
  }
}

function connect(address: Address, port: number, timeout: number): Promise<string> {
  return new Promise((done, fail) => {
    const socket = net.connect({ host: address.address, port, timeout })
    const end = (finish: () => void) => {
      socket.destroy()
      finish()
    }
    socket.on('connect', () => end(() => done(address.address)))
    socket.on('timeout', () => end(() => fail(new Error(noAnswer(address)))))
    socket.on('error', error => end(() => fail(new Error(reasonFor(address, error)))))
  })
}
