import type { Command } from 'commander'
import type { FamilyFlags, KnockFlags, KnockMethod } from '../../client/index.js'
import { closeAfterwards, closeMethod, findHost, knockAndConnect, openMethod, relay } from '../../client/index.js'
import { parsePort } from '../../net/index.js'
import type { Terminal } from '../../util/index.js'
import { parseSeconds } from '../flag-values.js'
import { knockingCommand } from '../knock-command.js'
import { askOnTerminal } from '../prompt.js'

interface Flags extends KnockFlags {
  readonly knockPort?: string
  readonly timeout: string
}

const help = `
In ~/.ssh/config, for all that ssh, scp, sftp and git do with this server:
  Host server.example
    ProxyCommand pkctl connect %h %p

The host is a host entry, as with pkctl knock, or a name or address of the network. pkctl sends the knock and starts the
connection together. If there is no connection after 0.9 s, it sends one new knock. If the host entry can close, pkctl
sends the closing knock at the end, even after a signal. stdin is data, so pkctl never reads the key from it: if neither
an option nor the host entry names the key, pkctl asks for it on the terminal.

Exit status: 0 when both sides have ended, 1 when there is no connection or it is lost, 2 wrong usage.`

export function connectCommand(terminal: Terminal): Command {
  return knockingCommand('connect', '--knock-port', '10s')
    .description("knock, connect, and relay stdin and stdout: for ssh's ProxyCommand")
    .argument('<port>', 'TCP port to connect to')
    .addHelpText('after', help)
    .action((host: string, port: string, flags: Flags) => connect(host, port, flags, terminal))
}

async function connect(name: string, portText: string, flags: Flags, terminal: Terminal): Promise<void> {
  const port = parsePort(portText)
  const timeoutMs = parseSeconds('--timeout', flags.timeout) * 1000
  const entry = await findHost(name, warning => terminal.warn(warning))
  const { knockPort, ...others } = flags
  const openingFlags = knockPort === undefined ? others : { ...others, port: knockPort }
  const opening = await openMethod(entry, openingFlags, () => askOnTerminal('key: '))
  // What closing needs is collected before anything opens. Keys and tags on the command line are those for opening.
  const closing = await closeMethod(entry, familyOf(flags), () => askOnTerminal('key for closing: '))

  const connected = async (method: KnockMethod, signal?: AbortSignal) =>
    relay(await knockAndConnect(method, port, timeoutMs, signal), `${method.host} port ${port}`, signal)
  if (closing) await closeAfterwards(opening, closing, connected, terminal)
  else await connected(opening)
}

const familyOf = (flags: FamilyFlags): FamilyFlags => ({
  ...(flags[4] === undefined ? {} : { 4: flags[4] }),
  ...(flags[6] === undefined ? {} : { 6: flags[6] }),
})
