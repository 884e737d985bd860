import { Command } from 'commander'
import { parseDuration, parsePort } from '../../controller/config/values.js'
import type { KnockFlags } from '../knocking.js'
import { addKnockOptions, findTarget, placeNamed } from '../knocking.js'
import { askOnTerminal } from '../prompt.js'
import { reach } from '../reaching.js'
import { relay } from '../relay.js'
import { usageError } from '../terminal.js'

interface Flags extends KnockFlags {
  readonly knockPort?: string
  readonly timeout: string
}

const help = `
In ~/.ssh/config, for all that ssh, scp, sftp and git do with this server:
  Host server.example
    ProxyCommand pkctl connect %h %p

The host is a place, as with pkctl knock, or a name or address of the network. The knock and the connection go out
together; the knock is sent once more, made anew, where no connection comes of it. stdin is what is sent, so the key is
never read from it: where neither an option nor a place names the key, it is asked for on the terminal.

Exit status: 0 when both sides have ended, 1 when there is no connection or it is lost, 2 wrong usage.`

export function connectCommand(): Command {
  const command = new Command('connect')
    .description("knock, connect, and relay stdin and stdout: for ssh's ProxyCommand")
    .argument('<host>', 'a place of hosts.yaml, or a name or address')
    .argument('<port>', 'TCP port to connect to')
    .option('--knock-port <port>', 'UDP port to knock on (default: a random one)')
  return addKnockOptions(command)
    .option('--timeout <time>', 'how long to try', '10s')
    .addHelpText('after', help)
    .action(connect)
}

async function connect(name: string, portText: string, flags: Flags): Promise<void> {
  const port = parsePort(portText)
  const timeoutMs = parseDuration(flags.timeout) * 1000
  const place = placeNamed(name)
  if (place.sequence && flags.knockPort === undefined)
    throw usageError(
      `${name} is a place with a sequence, and connect sends PKD knocks`,
      'let ssh call pkctl knock before it connects, by Match exec',
    )
  const target = await findTarget(place, flags, flags.knockPort, () => askOnTerminal('key: '))
  await relay(await reach(target, port, timeoutMs), `${target.host} port ${port}`)
}
