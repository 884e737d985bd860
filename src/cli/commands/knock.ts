import * as net from 'node:net'
import { Command } from 'commander'
import { addressBytes, parseAddress, parseDuration, parsePort } from '../../controller/config/values.js'
import type { Address, KnockFlags } from '../knocking.js'
import type { Step } from '../../knock/sequence.js'
import { formatStep, parseStep } from '../../knock/sequence.js'
import {
  addKnockOptions,
  addressesOf,
  closedHint,
  findTarget,
  knockAt,
  millisecondsSince,
  noAnswer,
  placeNamed,
  reasonFor,
} from '../knocking.js'
import type { Place } from '../places.js'
import { askSecret } from '../prompt.js'
import { knockSteps } from '../stepping.js'
import type { Terminal } from '../terminal.js'
import { CliError, usageError } from '../terminal.js'

interface Flags extends KnockFlags {
  readonly port?: string
  readonly connect?: string
  readonly onBehalfOf?: string
  readonly udp?: boolean
  readonly delay: string
  readonly timeout: string
  readonly verbose?: boolean
}

const knockHelp = `
The host is a name from ~/.config/pkctl/hosts.yaml, or a name or address of the network. Without -4 or -6 a knock goes
out over both versions of IP that the name has, because what connects next may take either. Without --port each knock
takes a random one. The key is asked for when no option names it; from a pipe, its first line is the key.

With ports, or with a place that has a sequence, it knocks at those instead: TCP, or UDP where a port says :udp.

A place in hosts.yaml:
  home:
    host: server.example
    tag: SSHK
    key-file: ~/.config/pkctl/home.key
    connect: 22

Exit status: 0 sent (with --connect: and the port is open), 1 not, 2 wrong usage.`

export function knockCommand(terminal: Terminal): Command {
  const command = new Command('knock')
    .description('knock at a server, by a PKD packet or a port sequence, and with --connect try the port at once')
    .argument('<host>', 'a place of hosts.yaml, or a name or address')
    .argument('[ports...]', 'knock at these ports in their order, such as 7000 8000:udp, instead of sending PKD')
    .option('--port <port>', 'UDP port to knock on (default: a random one)')
  return addKnockOptions(command)
    .option('-u, --udp', 'knock at ports by UDP where nothing is said')
    .option('-d, --delay <ms>', 'milliseconds between the knocks of a sequence', '20')
    .option('--on-behalf-of <address>', 'ask for this address to be let in, if the credential may')
    .option('--connect <port>', 'then try this TCP port at once, and tell')
    .option('--timeout <time>', 'how long to try', '5s')
    .option('-v, --verbose', 'say what is sent where')
    .addHelpText('after', knockHelp)
    .action((host: string, ports: string[], flags: Flags) => knock(host, ports, flags, terminal))
}

async function knock(name: string, ports: readonly string[], flags: Flags, terminal: Terminal): Promise<void> {
  const place = placeNamed(name)
  const sequence = ports.length > 0 ? ports : flags.port === undefined ? place.sequence : undefined
  const connectPort = flags.connect === undefined ? place.connect : parsePort(flags.connect)
  const timeout = parseDuration(flags.timeout) * 1000
  const { addresses, send } = sequence ? await bySequence(place, sequence, flags) : await byPkd(place, flags)

  const started = process.hrtime.bigint()
  let sent = 0
  for (const address of addresses) {
    try {
      const where = await send(address)
      sent++
      if (flags.verbose) terminal.out(`knocked at ${address.address} ${where}`)
    } catch (error) {
      // A name may have an address of a version that this machine does not speak.
      if (addresses.length === 1) throw error
    }
  }
  if (sent === 0) throw new CliError(`no knock could be sent to ${place.host}`, 'is there a route to it?')
  if (connectPort !== undefined) await tryPort(addresses, connectPort, timeout, started, terminal)
}

/** Where to knock, and how: `send` resolves to the ports, in words. */
interface Way {
  readonly addresses: readonly Address[]
  readonly send: (address: Address) => Promise<string>
}

async function byPkd(place: Place, flags: Flags): Promise<Way> {
  const requested = flags.onBehalfOf === undefined ? {} : { onBehalfOf: requestedBytes(flags.onBehalfOf) }
  const found = await findTarget(place, flags, flags.port, () => askSecret('key: '))
  const target = { ...found, ...requested }
  return { addresses: target.addresses, send: async address => `port ${await knockAt(address, target)}/udp` }
}

function requestedBytes(text: string): Buffer {
  return Buffer.from(addressBytes(parseAddress(text).address), 'latin1')
}

async function bySequence(place: Place, ports: readonly string[], flags: Flags): Promise<Way> {
  const given = flags.tag ?? flags.keyFile ?? flags.keyEnv ?? flags.port ?? flags.onBehalfOf
  if (given !== undefined) {
    throw usageError('a sequence has no tag, key, --port or --on-behalf-of', 'leave out the ports to send PKD')
  }
  const steps = ports.map(port => readStep(flags.udp && !port.includes(':') ? `${port}:udp` : port))
  const pause = Number(flags.delay)
  if (!/^\d{1,5}$/.test(flags.delay)) throw usageError(`--delay takes milliseconds, not '${flags.delay}'`)
  return {
    addresses: await addressesOf(place, flags),
    async send(address) {
      await knockSteps(address, steps, pause)
      return `ports ${steps.map(formatStep).join(' ')}`
    },
  }
}

function readStep(text: string): Step {
  try {
    return parseStep(text)
  } catch (error) {
    throw usageError((error as Error).message)
  }
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
