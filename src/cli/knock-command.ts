/** What `pkctl knock` and `pkctl connect` have in common as commands. */
import { Command } from 'commander'
import { defaultTag } from '../knock/index.js'

/** A command with what both have; `portOption` names the port of a PKD knock. */
export function knockingCommand(name: string, portOption: string, timeout: string): Command {
  return new Command(name)
    .argument('<host>', 'a host entry of hosts.yaml, or a name or address')
    .option(`${portOption} <port>`, 'UDP port to knock on (default: a random one)')
    .option('--tag <tag>', `tag of the credential, text or 0x… (default: ${defaultTag})`)
    .option('--key-file <file>', 'file whose first line is the key')
    .option('--key-env <variable>', 'environment variable that holds the key')
    .option('-4', 'only over IPv4')
    .option('-6', 'only over IPv6')
    .option('--timeout <time>', 'how long to try to connect', timeout)
}
