/** The two machines of the lab, for a person to play in: npm run lab. */
import { version } from '../../src/cli/version.js'
import { consoleSocket, emulated } from './support/emulated.js'
import { obstacle } from './support/image.js'
import type { Machine } from './support/machines.js'
import { install, packaged, ports, Site, unpack } from './support/site.js'

const why = obstacle()
if (why !== undefined) {
  process.stderr.write(`pkctl lab: ${why}\n`)
  process.exit(1)
}

const say = (text: string) => process.stdout.write(`${text}\n`)
const site = new Site('play', 8 * 3600, { server: emulated, client: emulated })
let ending: Promise<void> | undefined
const end = () => (ending ??= site.stop().then(() => process.exit()))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end())

try {
  say('Building the machines, if that has not been done, and starting them: a minute, or two')
  const [deb] = await Promise.all([packaged(version), site.start()])
  say('Installing pkctl on both')
  await site.furnish()
  await Promise.all([install(site.server, deb), unpack(site.client, deb)])
  await site.configure()
  const login = (machine: Machine) =>
    `socat -,raw,echo=0,escape=0x1d UNIX-CONNECT:${consoleSocket(site.directory, machine.name)}`
  say(`
Log in, each in a terminal of its own; you are root at once. Press Return to see a prompt, and Ctrl-] to leave.

  server:  ${login(site.server)}
  client:  ${login(site.client)}

What to try:

  client:  ssh -o ConnectTimeout=3 server hostname     no answer: the port is closed
  client:  pkctl knock home && ssh server              knock, and log in; home is in ~/.config/pkctl/hosts.yaml
  server:  pkctl list; journalctl -u pkctld            who may in, and what the daemon thought of the knock
  server:  reboot                                      with "while sleep 0.2; do nc -vzw1 server ${ports.guarded}; done" on the client
  server:  ufw enable, systemctl start firewalld, nft flush ruleset, kill -9 the daemon: then knock again

Ctrl-C here ends both machines, and what was changed in them is gone.`)
} catch (error) {
  if (ending === undefined) {
    process.stderr.write(`pkctl lab: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
    await site.stop()
  }
}
