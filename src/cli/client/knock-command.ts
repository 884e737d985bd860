/** What `pkctl knock` and `pkctl connect` have in common as commands. */
import { Command } from 'commander'
import type { Caller } from '../../client/index.js'
import { defaultTag } from '../../knock/index.js'
import type { Terminal } from '../../util/index.js'

/** A command with what both have; `portOption` names the port of a knock that is one packet. */
export function knockingCommand(name: string, portOption: string, timeout: string): Command {
  return new Command(name)
    .argument('<host>', 'a host entry of hosts.yaml, or a name or address')
    .option(`${portOption} <port>`, 'UDP port to knock on (default: a random one)')
    .option('--tag <tag>', `tag of the credential, text or 0x… (default: ${defaultTag})`)
    .option('--key-file <file>', 'file whose first line is the key')
    .option('--key-env <variable>', 'environment variable that holds the key')
    .option(
      '--identity <identity>',
      "identity of the server, pk1:…: send pkctl's own knock, signed by an SSH key, or made with the key of --key-file",
    )
    .option('--ssh-key <file>', 'SSH key that signs the knock (default: the one that ssh uses for the host)')
    .option('--service <service>', 'ask only for this service; may be repeated', several)
    .option('--window <time>', 'ask for access for this time, such as 10m or 8h')
    .option('--prefix <bits>', 'ask for access for the prefix of your address, such as 64 for IPv6')
    .option(
      '--also <address>',
      'also ask for access for this address, such as your IPv6 address when you knock over IPv4',
    )
    .option('--source <address>', 'address of this machine to send from, or the name of an interface')
    .option('-4', 'only over IPv4')
    .option('-6', 'only over IPv6')
    .option('--timeout <time>', 'how long to try to connect', timeout)
    .option('-q, --quiet', 'print only errors, and what you must do, such as a touch')
}

/** The values of a flag that is given several times. */
const several = (value: string, before: readonly string[] | undefined) => [...(before ?? []), value]

/** Who knocks, as the library asks and tells them. */
export function callerOf(
  name: string,
  terminal: Terminal,
  quiet: boolean | undefined,
  secret: () => Promise<string>,
): Caller {
  return {
    name,
    secret,
    ask: line => terminal.hint(line),
    warn: line => {
      if (!quiet) terminal.warn(line)
    },
  }
}
