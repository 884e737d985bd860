import { Command } from 'commander'
import type { HistoryEntry } from '../../daemon/history-lines.js'
import { entryOf } from '../../daemon/history-lines.js'
import { daemonUser, loadConfig, readKeyFile } from '../../config/index.js'
import { explainKnock } from '../../controller/index.js'
import type { Explanation } from '../../doctor/index.js'
import { explainAddress, gatherFacts } from '../../doctor/index.js'
import { parseAddress, parsePort, prefixContains } from '../../net/index.js'
import { realFirewall } from '../../nft/index.js'
import type { Terminal } from '../../util/index.js'
import { defaultConfig, durationText, oneLine, usageError, UserError } from '../../util/index.js'
import { parseTimeAgo } from '../flags/time-flag.js'
import { entryText, historyDirectory, localTime, readEntries } from '../output/history-text.js'
import { jsonText } from '../output/json-output.js'
import { portsText } from '../output/service-text.js'

interface Flags {
  readonly config: string
  readonly socket?: string
  readonly json?: boolean
  readonly from?: string
  readonly port?: string
  readonly time?: string
}

const explainHelp = `
Changes nothing. For an address, it reads the rules in the kernel and the history of pkctl log, and follows a new connection
through the tables of other programs, as pkctl doctor does. For a line of the log, it does so for the address of that knock.

For a knock, the payload of a UDP packet in hex, such as tcpdump -x shows behind the headers, it says what the log would say,
by the configuration and the keys as they are now. It does not know whether the knock was used before. Run it as root.

Examples:
  pkctl explain 192.0.2.7
  pkctl explain "$(pkctl log --refused -n 1)"
  pkctl explain --from 192.0.2.7 --port 62201 --time 5m 5353484b…`

export function explainCommand(terminal: Terminal): Command {
  return new Command('explain')
    .description('show whether an address has access, by which rule, and why a knock was refused')
    .argument('<what>', 'the address of a client, a line of the log, or a knock in hex')
    .option('--from <address>', 'with a knock: the address that it came from')
    .option('--port <port>', 'with a knock: the UDP port that it was sent to')
    .option('--time <time>', 'with a knock: when it came, 5m (ago) or 2030-01-01T12:00:00Z (default: now)')
    .option('--config <file>', 'configuration', defaultConfig)
    .option('--socket <path>', "the daemon's socket (default: that of the configuration)")
    .option('--json', 'print one JSON object')
    .addHelpText('after', explainHelp)
    .action(async (text: string, flags: Flags) => {
      if (knockPattern.test(text)) {
        await ofKnock(Buffer.from(text, 'hex'), flags, terminal)
        return
      }
      if ((flags.from ?? flags.port ?? flags.time) !== undefined)
        throw usageError('--from, --port and --time are about a knock', 'a knock is hex: two digits for each byte')
      const entries = readEntries(historyDirectory(flags.config, terminal))
      const ofLine = /\s/.test(text) ? knockIn(text, entries) : undefined
      const { address } = parseAddress(ofLine ? addressOf(ofLine) : text)
      const { kernel, daemon } = await gatherFacts(flags.config, flags.socket)
      if (!kernel) throw new UserError('the ruleset cannot be read', 'run this as root; pkctl doctor says why')
      const explanations = explainAddress(address, kernel, daemon)
      const last = ofLine ?? lastKnock(entries, address)
      if (flags.json) terminal.out(jsonText({ address, services: explanations.map(asJson), lastKnock: last ?? null }))
      else print(terminal, explanations, knockText(terminal, address, last, ofLine !== undefined))
    })
}

/** As long as the shortest knock, at least. */
const knockPattern = /^(?:[0-9a-f]{2}){44,}$/i

async function ofKnock(payload: Buffer, { config: file, from, port, time, json }: Flags, terminal: Terminal) {
  if (from === undefined || port === undefined)
    throw usageError(
      'a knock needs --from and --port',
      'where it came from and was sent to is a part of what is checked',
    )
  const now = Date.now() / 1000
  const given = {
    ...{ payload, source: parseAddress(from).address, port: parsePort(port) },
    time: time === undefined ? now : parseTimeAgo('--time', time, now),
  }
  const { config } = loadConfig(file)
  const specs = new Map([...(await realFirewall().services())].map(([name, { spec }]) => [name, spec]))
  for (const service of config.services) specs.set(service.name, service)
  const daemon = (process.geteuid?.() === 0 ? daemonUser()?.uid : process.geteuid?.()) ?? 0
  const { entries, problems } = await explainKnock(given, {
    ...{ config, services: specs },
    readKeyFile: (path, known) => readKeyFile(path, daemon, known),
  })
  for (const problem of problems) terminal.warn(problem)
  const at = new Date(given.time * 1000).toISOString()
  if (json) terminal.out(jsonText({ at, knocks: entries.map(({ message, fields }) => ({ message, ...fields })) }))
  else for (const { message } of entries) terminal.out(message)
  const isOld = entries.some(({ fields }) => ['skewed', 'unknown-tag'].includes(String(fields['reason'])))
  if (isOld && time === undefined) terminal.hint('--time says when it came, if that was not just now')
}

/** The knock of a line of the log, as text or JSON. Throws a usage error where it has none. */
function knockIn(text: string, entries: readonly HistoryEntry[]): HistoryEntry {
  const isKnock = (entry: HistoryEntry | undefined) =>
    String(entry?.['event']).startsWith('knock-') && typeof entry?.['source'] === 'string'
  const read = entryOf(text.trim())
  if (read && isKnock(read)) return read
  const found = entries.filter(entry => isKnock(entry) && text.includes(oneLine(entry.message)))
  // Of several with this text, that of the time in it, or else the last.
  const atItsTime = found.filter(
    entry => text.includes(entry.time) || text.includes(localTime(new Date(entry.time)).join(' ')),
  )
  const [last] = [...found, ...atItsTime].slice(-1)
  if (last) return last
  throw usageError(
    'that is no address, no knock in hex, and no line of a knock that pkctl log has',
    'pkctl log shows the lines',
  )
}

const addressOf = (entry: HistoryEntry) => String(entry['on-behalf-of'] ?? entry['source'])

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

function knockText(terminal: Terminal, address: string, entry: HistoryEntry | undefined, isGiven: boolean): string {
  if (!entry) return `last knock: pkctl log has none of ${address}`
  return `${isGiven ? 'knock' : 'last knock'}: ${entryText(entry, terminal)}`
}

function print(terminal: Terminal, explanations: readonly Explanation[], knock: string): void {
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
  terminal.out(knock)
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
