import { Command } from 'commander'
import { parseWindow } from '../../config/service-options.js'
import { parseSource } from '../../net/index.js'
import type { EarlierGrants } from '../../nft/index.js'
import type { Terminal } from '../../util/index.js'
import { report, withChangeFlags } from '../change.js'
import type { GrantFlags } from '../grant-change.js'
import { changeGrant, serviceOf } from '../grant-change.js'
import { grantedText } from '../service-text.js'

interface AddFlags extends GrantFlags {
  readonly for?: string
}

export function addCommand(terminal: Terminal): Command {
  const command = new Command('add')
    .description('grant an address access, for a time or until you delete it; repeat to set another time')
    .usage('<address> --service <name> [options]')
    .argument('<address>', 'IPv4 or IPv6 address')

    .option('--service <name>', 'service that it may use (required)')
    .option('--for <time>', 'how long: seconds, or 30s, 10m, 8h, 2d (default: without a time limit)')
  return withChangeFlags(command).action(async (text: string, flags: AddFlags) => {
    const service = serviceOf(flags)
    const { version, address } = parseSource(text)
    const seconds = flags.for === undefined ? null : parseWindow(flags.for)
    const change = await changeGrant(flags, { request: 'add', service, address, seconds }, firewall =>
      firewall.addGrant(service, version, address, seconds),
    )
    const { secondsBefore, secondsByKnock } = change
    const sentence = change.changed
      ? `${grantedText(address, service, seconds)}${earlierText(change, seconds)}`
      : `${address} may use ${service} already, without a time limit`
    const earlier = {
      ...(secondsBefore === undefined ? {} : { 'seconds-before': secondsBefore }),
      ...(secondsByKnock === undefined ? {} : { 'seconds-by-knock': secondsByKnock }),
    }
    await report(terminal, flags, { service, address, seconds, ...earlier }, change, sentence)
  })
}

function earlierText({ secondsBefore, secondsByKnock }: EarlierGrants, seconds: number | null): string {
  const before =
    secondsBefore === undefined
      ? ''
      : `; before: ${secondsBefore === null ? 'without a time limit' : `${secondsBefore} s left`}`
  const isLonger = secondsByKnock !== undefined && seconds !== null && (secondsByKnock ?? Infinity) > seconds
  if (!isLonger) return before
  return `${before}; a grant by knock ${secondsByKnock === null ? 'has no time limit' : `ends in ${secondsByKnock} s`}`
}
