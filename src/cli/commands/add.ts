import { Command } from 'commander'
import { parseWindow } from '../../config/service-rules.js'
import type { FirewallResult, EarlierGrants } from '../../nft/index.js'
import { checkedNote, longestNote } from '../../nft/index.js'
import type { Terminal } from '../../util/index.js'
import { durationText, timeText, usageError } from '../../util/index.js'
import { report, withChangeFlags } from '../changes/change.js'
import type { FleetResult } from '../changes/fleet-change.js'
import { fleetJson, fleetText, throwUntold } from '../changes/fleet-change.js'
import type { GrantFlags } from '../changes/grant-change.js'
import { changeGrant, fleetFlag, serviceOf } from '../changes/grant-change.js'
import type { GrantedSources } from '../changes/grant-sources.js'
import { findSources } from '../changes/grant-sources.js'
import { logChange } from '../changes/log-change.js'
import { ownComment } from '../changes/grant-note.js'
import { grantedText } from '../output/service-text.js'
import { secondsUntil } from '../flags/time-flag.js'

interface AddFlags extends GrantFlags {
  readonly for?: string
  readonly until?: string
  readonly note?: string
}

const help = `
A host name is resolved once, now, and all of its addresses are granted access. A prefix needs a service with the same prefix4
or prefix6: see pkctl init.

Examples:
  pkctl add 192.0.2.7 --for 1h30m
  pkctl add home.example --service ssh --until 18:00 --note 'on call tonight'
  pkctl add 198.51.100.0/24 --service vpn --until 2030-01-31T12:00Z
  pkctl add 192.0.2.7 --service ssh --for 1h --fleet`

export function addCommand(terminal: Terminal): Command {
  const command = new Command('add')
    .description('grant an address access, for a time or until you delete it; repeat to set another time')
    .usage('<address> [options]')
    .argument('<address>', 'IPv4 or IPv6 address, prefix, or host name')
    .option('--service <name>', 'service that it may use (default: the only one)')
    .option('--for <time>', 'how long: seconds, or 30s, 10m, 1h30m, 2d (default: without a time limit)')
    .option('--until <time>', 'end of access: 18:00 (next time it is 18:00 here), 2030-01-31T18:00 (local) or …Z (UTC)')
    .option('--note <text>', `why, in at most ${longestNote} bytes: kept with the grant, and shown by pkctl list`)
    .option(...fleetFlag)
    .addHelpText('after', help)
  return withChangeFlags(command).action((text: string, flags: AddFlags) => add(terminal, text, flags))
}

type AddedGrant = FleetResult<FirewallResult & EarlierGrants> & { readonly source: string }

async function add(terminal: Terminal, text: string, flags: AddFlags): Promise<void> {
  const seconds = secondsOf(flags)
  const note = flags.note === undefined ? {} : { note: checkedNote(flags.note) }
  const comment = await ownComment(note.note)
  const found = await findSources(text)
  const service = await serviceOf(flags)
  const added: AddedGrant[] = []
  for (const { version, source } of found.sources) {
    const message = { request: 'add', service, address: source, seconds, ...note } as const
    const change = await changeGrant(flags, message, firewall =>
      firewall.addGrant(service, version, source, seconds, false, comment),
    )
    added.push({ ...change, source })
  }
  if (found.host !== null && !flags.json && !flags.dryRun)
    terminal.out(`${found.host} is ${added.map(({ source }) => source).join(' and ')}`)
  // The daemon has a line of what it did itself.
  const recordOf = ({ source, fleet }: AddedGrant) =>
    fleet ? undefined : ({ action: 'add', service, source, seconds, ...note } as const)
  const sentence = (grant: AddedGrant) =>
    grant.changed
      ? `${grantedText(grant.source, service, seconds)}${earlierText(grant, seconds)}${fleetText(grant.fleet)}`
      : `${grant.source} may use ${service} already, without a time limit${fleetText(grant.fleet)}`
  const untold = added.find(({ fleet }) => fleet?.told === false)?.fleet
  if (!flags.json && !flags.dryRun) {
    for (const grant of added) await report(terminal, flags, {}, grant, sentence(grant), recordOf(grant))
    throwUntold(untold)
    return
  }
  const all = {
    changed: added.some(({ changed }) => changed),
    details: added.flatMap(({ details }) => details),
    commands: added.flatMap(({ commands }) => commands),
  }
  await report(terminal, flags, asJson(found, added, service, seconds), all, added.map(sentence).join('; '), undefined)
  if (flags.dryRun) return
  for (const grant of added) {
    const record = recordOf(grant)
    if (grant.changed && record) await logChange(flags.socket, sentence(grant), record)
  }
  throwUntold(untold)
}

function secondsOf(flags: AddFlags): number | null {
  if (flags.for !== undefined && flags.until !== undefined) throw usageError('--for and --until exclude each other')
  if (flags.until !== undefined) return parseWindow(secondsUntil('--until', flags.until, new Date()))
  return flags.for === undefined ? null : parseWindow(flags.for)
}

function asJson({ host }: GrantedSources, added: readonly AddedGrant[], service: string, seconds: number | null) {
  const earlier = ({ secondsBefore, secondsByKnock }: EarlierGrants) => ({
    ...(secondsBefore === undefined ? {} : { 'seconds-before': secondsBefore }),
    ...(secondsByKnock === undefined ? {} : { 'seconds-by-knock': secondsByKnock }),
  })
  const [one] = added
  const rest = (grant: AddedGrant) => ({ ...earlier(grant), ...fleetJson(grant.fleet) })
  if (host === null && one) return { service, address: one.source, seconds, ...rest(one) }
  return { service, host, seconds, addresses: added.map(grant => ({ address: grant.source, ...rest(grant) })) }
}

function earlierText({ secondsBefore, secondsByKnock }: EarlierGrants, seconds: number | null): string {
  const before =
    secondsBefore === undefined
      ? ''
      : `; before: ${secondsBefore === null ? timeText(null) : `${durationText(secondsBefore)} left`}`
  const isLonger = secondsByKnock !== undefined && seconds !== null && (secondsByKnock ?? Infinity) > seconds
  if (!isLonger) return before
  return `${before}; a grant by knock ${secondsByKnock === null ? 'has no time limit' : `ends in ${durationText(secondsByKnock)}`}`
}
