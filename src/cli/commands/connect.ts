import type { Command } from 'commander'
import type { KnockFlags, KnockMethod, AddressFlags } from '../../client/index.js'
import {
  closeAfterwards,
  closeMethod,
  descriptorSender,
  evaluatesSshConfig,
  findHost,
  knockAndConnect,
  openMethod,
  passConnection,
  relay,
  sshPort,
} from '../../client/index.js'
import { parsePort } from '../../net/index.js'
import type { Terminal } from '../../util/index.js'
import { execute, usageError, UserError } from '../../util/index.js'
import { parseSeconds } from '../flags/flag-values.js'
import { callerOf, knockingCommand } from '../client/knock-command.js'
import { askOnTerminal } from '../output/prompt.js'

interface Flags extends KnockFlags {
  readonly knockPort?: string
  readonly timeout: string
  readonly quiet?: boolean
  readonly fdpass?: boolean
}

const help = `
In ~/.ssh/config, for all that ssh, scp, sftp and git do with this server:
  Host server.example
    ProxyCommand pkctl connect %h %p

With these lines, ssh takes over the connection, and pkctl ends:
  Host server.example
    ProxyCommand pkctl connect --fdpass %h %p
    ProxyUseFdpass yes

The host is a host entry, as with pkctl knock, or a name or address of the network. pkctl sends the knock and starts the
connection together. If there is no connection after 0.9 s, it sends one new knock. If the host entry can close, pkctl
sends the closing knock at the end, even after a signal. stdin is data, so pkctl never reads the key from it: if neither
an option nor the host entry names the key, pkctl asks for it on the terminal. With the identity of the server and no
key, an SSH key signs the knock, as with pkctl knock.

Exit status: 0 when both sides have ended, 1 when there is no connection or it is lost, 2 wrong usage.`

export function connectCommand(terminal: Terminal): Command {
  return knockingCommand('connect', '--knock-port', '10s')
    .description("knock, connect, and relay stdin and stdout: for ssh's ProxyCommand")
    .argument('[port]', 'TCP port to connect to (default: connect of the host entry, else the Port that ssh takes)')
    .option('--fdpass', "pass the connection over stdout and end: for ssh's ProxyUseFdpass")
    .addHelpText('after', help)
    .action((host: string, port: string | undefined, flags: Flags) => connect(host, port, flags, terminal))
}

async function connect(name: string, portText: string | undefined, flags: Flags, terminal: Terminal): Promise<void> {
  if (evaluatesSshConfig()) throw new UserError("pkctl connect was started by pkctl's own ssh -G, and does not connect")
  const given = portText === undefined ? undefined : parsePort(portText)
  const timeoutMs = parseSeconds('--timeout', flags.timeout) * 1000
  const caller = callerOf(name, terminal, flags.quiet, () => askOnTerminal('key: '))
  const entry = await findHost(name, line => caller.warn(line))
  const port = given ?? entry.connect ?? (await sshPort([name, entry.host], execute))
  const { knockPort, ...others } = flags
  const openingFlags = knockPort === undefined ? others : { ...others, port: knockPort }
  const opening = await openMethod(entry, openingFlags, caller)
  // What closing needs is collected before anything opens. Keys and tags on the command line are those for opening.
  const closer = { ...caller, secret: () => askOnTerminal('key for closing: ') }
  const closing = await closeMethod(entry, addressFlagsOf(flags), closer)

  if (flags.fdpass) {
    if (closing) {
      const hint =
        'remove --fdpass and ProxyUseFdpass, or remove the closing knock (close, close-sequence, close-secret) from the host entry'
      throw usageError('--fdpass ends before the connection does, and cannot send the closing knock', hint)
    }
    const sender = await descriptorSender()
    passConnection(await knockAndConnect(opening, port, timeoutMs), sender)
    return
  }
  const connected = async (method: KnockMethod, signal?: AbortSignal) =>
    relay(await knockAndConnect(method, port, timeoutMs, signal), `${method.host} port ${port}`, signal)
  if (closing) await closeAfterwards(opening, closing, connected, terminal)
  else await connected(opening)
}

const addressFlagsOf = ({ 4: four, 6: six, source }: AddressFlags): AddressFlags => ({
  ...(four !== undefined && { 4: four }),
  ...(six !== undefined && { 6: six }),
  ...(source !== undefined && { source }),
})
