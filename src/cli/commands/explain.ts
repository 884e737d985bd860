import { Command } from 'commander'
import type { HistoryEntry } from '../../daemon/history-lines.js'
import type { Explanation } from '../../doctor/index.js'
import { explainAddress, gatherFacts } from '../../doctor/index.js'
import { parseAddress, prefixContains } from '../../net/index.js'
import type { Terminal } from '../../util/index.js'
import { defaultConfig, durationText, oneLine, UserError } from '../../util/index.js'
import { entryText, historyDirectory, readEntries } from '../output/history-text.js'
import { jsonText } from '../output/json-output.js'
import { portsText } from '../output/service-text.js'

interface Flags {
  readonly config: string
  readonly socket?: string
  readonly json?: boolean
}

const explainHelp = `
Changes nothing. It reads the rules in the kernel and the history of pkctl log, and follows a new connection through the
tables of other programs, as pkctl doctor does. Run it as root.

Example:
  pkctl explain 192.0.2.7`

export function explainCommand(terminal: Terminal): Command {
  return new Command('explain')
    .description('show whether an address has access, by which rule, and why its last knock was refused')
    .argument('<address>', 'the address of a client, IPv4 or IPv6')
    .option('--config <file>', 'configuration', defaultConfig)
    .option('--socket <path>', "the daemon's socket (default: that of the configuration)")
    .option('--json', 'print one JSON object')
    .addHelpText('after', explainHelp)
    .action(async (text: string, flags: Flags) => {
      const { address } = parseAddress(text)
      const { kernel, daemon } = await gatherFacts(flags.config, flags.socket)
      if (!kernel) throw new UserError('the ruleset cannot be read', 'run this as root; pkctl doctor says why')
      const explanations = explainAddress(address, kernel, daemon)
      const last = lastKnock(readEntries(historyDirectory(flags.config, terminal)), address)
      if (flags.json) terminal.out(jsonText({ address, services: explanations.map(asJson), lastKnock: last ?? null }))
      else print(terminal, address, explanations, last)
    })
}

/** Of knocks from the address, or on behalf of it. */
function lastKnock(entries: readonly HistoryEntry[], address: string): HistoryEntry | undefined {
  const isOf = (entry: HistoryEntry) =>
    ['source', 'on-behalf-of', 'also'].some(name => {
      const value = entry[name]
      return typeof value === 'string' && isInside(value, address)
    })
  return entries.filter(entry => String(entry['event']).startsWith('knock-') && isOf(entry)).at(-1)
}

function isInside(prefix: string, address: string): boolean {
  try {
    return prefixContains(prefix, address)
  } catch {
    return false
  }
}

function asJson({ state: { spec, sound }, access, rule, by, secondsLeft, objections }: Explanation) {
  return {
    ...{ service: spec.name, ports: portsText(spec), access, rule, by: by ?? null, secondsLeft: secondsLeft ?? null },
    ...{ sound, interfaces: spec.interfaces },
    objections: objections.map(({ id, level, message, advice }) => ({ id, level, message, advice })),
  }
}

function print(
  terminal: Terminal,
  address: string,
  explanations: readonly Explanation[],
  last: HistoryEntry | undefined,
): void {
  for (const one of explanations) {
    const { spec, sound } = one.state
    terminal.out(`${terminal.strong(spec.name)}  ${portsText(spec)}  ${accessText(one)}`)
    terminal.out(`  rule: ${one.rule}`)
    if (spec.interfaces.length > 0) terminal.out(`  only by ${spec.interfaces.join(', ')}: others are not filtered`)
    if (!sound) terminal.out('  damaged: the rules were changed, and may do something else; pkctl reload restores them')
    for (const { level, message, advice } of one.objections) {
      terminal.out(`  ${level}: ${oneLine(message)}`)
      terminal.out(`    what to do: ${oneLine(advice)}`)
    }
  }
  if (explanations.length === 0) terminal.out('no services: pkctl closes no port')
  terminal.out(last ? `last knock: ${entryText(last, terminal)}` : `last knock: pkctl log has none of ${address}`)
}

function accessText({ access, by, secondsLeft = null }: Explanation): string {
  switch (access) {
    case 'granted':
      return `granted by ${by}, ${secondsLeft === null ? 'without a time limit' : `${durationText(secondsLeft)} left`}`
    case 'allowed':
      return 'accepted, on the allowlist'
    case 'open':
      return 'accepted, like every address'
    case 'refused':
      return 'refused'
  }
}
