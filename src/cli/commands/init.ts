import * as os from 'node:os'
import { Command, Option } from 'commander'
import { unmatchedInterfaces } from '../../config/host-interfaces.js'
import { hostInterfaces } from '../../net/index.js'
import { rejections } from '../../config/service-rules.js'
import { kernelLogLevels } from '../../config/values.js'
import type { ServiceGrant, ServicePlan } from '../../nft/index.js'
import { hooks, protocols, realFirewall } from '../../nft/index.js'
import type { LockoutFlags } from '../../safety/index.js'
import { sessionGrantsJson, guardSession, hintAtSessionGrants } from '../../safety/index.js'
import type { Terminal } from '../../util/index.js'
import type { ChangeFlags } from '../changes/change.js'
import { report, tellDaemon, withChangeFlags } from '../changes/change.js'
import { withLockoutFlags } from '../flags/lockout-flags.js'
import { withComment } from '../changes/grant-note.js'
import { logChange } from '../changes/log-change.js'
import type { ServiceFlags } from '../flags/service-flags.js'
import { flagDefaults, serviceSpec, warnOfEndingConnections } from '../flags/service-flags.js'
import { grantedText, protectsText } from '../output/service-text.js'

type InitFlags = ServiceFlags & ChangeFlags & LockoutFlags

const help = `
A source has access if a knock or pkctl add grants it, or if --allow names it. pkctl drops the packets of all other
sources, unless --reject or --accept says otherwise. With --syn, pkctl filters only the start of a connection, so open
connections outlive their grant. Without --syn, it filters every packet, and a connection ends with its grant.

Examples:
  pkctl init ssh --port 22 --syn --allow 192.0.2.0/24
  pkctl init vpn --port 51820 --udp --window 10m
  pkctl init web --port 80,443,8000-8010 --syn --reject reset --log`

const collect = (value: string, before: readonly string[] = []) => [...before, value]

export function initCommand(terminal: Terminal): Command {
  const command = new Command('init')
    .description('close a port to all sources without a grant; repeat with other options to change it')
    .usage('<name> --port <ports> [options]')
    .argument('<name>', 'name of the service')

    .option(
      '--port <ports>',
      'port, range such as 6000-6010, or several with commas (required); may be repeated',
      collect,
    )
    .addOption(new Option('--udp', 'the same as --protocol udp').conflicts(['syn', 'protocol']))
    .option('--syn', 'TCP, and filter only packets that start a connection')
    .addOption(new Option('--protocol <name>', 'protocol of the ports (default: tcp)').choices(protocols))
    .addOption(new Option('--accept', 'only watch: count and log, and accept every packet').conflicts('reject'))
    .addOption(
      new Option('--reject <how>', 'the answer to sources without a grant (default: drop)').choices(rejections),
    )
    .option('--log', 'log packets of sources that have no grant')
    .option('--log-prefix <text>', 'text in front of each log line (default: "pk-NAME ")')
    .addOption(new Option('--log-level <level>', 'level of the log (default: info)').choices(kernelLogLevels))
    .option('--log-limit <rate>', 'maximum rate of lines: N/second, /minute, /hour, /day, or none (default: 5/minute)')
    .option('--log-burst <n>', 'lines that can come at once before the limit applies (default: 5)')
    .option('--window <time>', 'how long a grant by knock lasts: seconds, or 10m, 8h', flagDefaults.window)
    .option('--single-use', 'the first connection uses up the grant')
    .option('--fail-open', 'accept every packet while pkctld does not run')
    .option('--allow <prefixes>', 'address or prefix that always has access, or several; may be repeated', collect)
    .option('--prefix4 <bits>', 'grant the whole IPv4 prefix of a source, 8 to 32', flagDefaults.prefix4)
    .option('--prefix6 <bits>', 'grant the whole IPv6 prefix of a source, 16 to 128', flagDefaults.prefix6)
    .addOption(
      new Option('--hook <hook>', 'where to filter; prerouting also protects ports published by DNAT')
        .choices(hooks)
        .default(flagDefaults.hook),
    )
    .option(
      '-i, --interface <names>',
      'filter only packets that arrive on it, such as eth0 or ppp*; all others stay open; may be repeated',
      collect,
    )
    .addHelpText('after', help)
  return withChangeFlags(withLockoutFlags(command)).action(async (name: string, flags: InitFlags) => {
    const spec = serviceSpec(name, flags)
    const firewall = realFirewall(flags)
    let sessionGrants: readonly ServiceGrant[] = []
    const prepare = async (plan: ServicePlan) =>
      (sessionGrants = await withComment(await guardSession(terminal, firewall, flags, plan)))
    const change = await firewall.apply({ specs: [spec], prepare })
    if (change.changed) warnOfEndingConnections(terminal, spec)
    const named = { services: [spec], credentials: [] }
    for (const { message, advice } of unmatchedInterfaces(named, hostInterfaces(), os.release())) {
      terminal.warn(message)
      terminal.hint(advice)
    }
    await tellDaemon(terminal, flags)
    const details = change.details.filter(detail => !detail.startsWith(`service ${name} added`)).join('; ')
    const sentence = change.changed
      ? `${protectsText(spec)}${details ? ` (${details})` : ''}`
      : `${protectsText(spec)} already`
    for (const { service, source, secondsLeft: seconds } of change.changed && !flags.dryRun ? sessionGrants : [])
      await logChange(flags.socket, grantedText(source, service, seconds), { action: 'add', service, source, seconds })
    const result = { service: name, ...sessionGrantsJson(sessionGrants) }
    await report(terminal, flags, result, change, sentence, { action: 'init', service: name })
    if (!flags.dryRun && !flags.json) hintAtSessionGrants(terminal, sessionGrants)
  })
}
