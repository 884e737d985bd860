import { Command } from 'commander'
import type { FleetStatus } from '../../fleet/index.js'
import type { Status } from '../../controller/index.js'
import { askOrExplain } from '../../daemon/control-client.js'
import { queueStatistics } from '../../queue/statistics.js'
import { unconfirmedChange } from '../../safety/ask-rollback-process.js'
import type { Terminal } from '../../util/index.js'
import { count, defaultSocket, durationText, oneLine } from '../../util/index.js'
import { fleetLine } from '../output/fleet-text.js'
import {
  grantCheckLines,
  instantText,
  notQueuedLines,
  selfTestLines,
  tableText,
  waitingLines,
} from '../output/health-warnings.js'
import { jsonText } from '../output/json-output.js'

export function statusCommand(terminal: Terminal): Command {
  return new Command('status')
    .description('show the state of the daemon')
    .option('--json', 'print one JSON object')
    .option('--socket <path>', "the daemon's socket", defaultSocket)
    .action(async (flags: { json?: boolean; socket: string }) => {
      const status = withWaiting((await askOrExplain(flags.socket, 'status')) as StatusOfServer)
      const change = await unconfirmedChange()
      const rollsBackIn = change === 'silent' ? null : (change ?? null)
      if (flags.json) terminal.out(jsonText({ ...status, rollsBackIn, rollbackSilent: change === 'silent' }))
      else for (const line of [...lines(status, terminal), ...indented(waitingLines(change))]) terminal.out(line)
    })
}

/** `fleet` is there if the server is in one. */
type StatusOfServer = Status & { readonly fleet?: FleetStatus }

/** A daemon that is not root cannot see how many packets wait in the queue; the caller may be root. */
function withWaiting(status: StatusOfServer): StatusOfServer {
  if (status.queue.waiting !== null) return status
  return { ...status, queue: { ...status.queue, ...queueStatistics(status.queue.number) } }
}

function lines(status: StatusOfServer, terminal: Terminal): string[] {
  const { queue, knocks } = status
  const refused = Object.entries(knocks.refused).map(([reason, count]) => `${count} ${reason}`)
  const notGranted = knocks.notGranted ? `${knocks.notGranted} of them not granted by the kernel, ` : ''
  const unchecked = knocks.unchecked ? `${knocks.unchecked} of them not checked in the kernel, ` : ''
  const services = status.services.map(({ name, grants }) => `${name} (${grants} granted)`)
  return [
    `${terminal.strong('pkctld')} ${status.version}, process ${status.pid}, up ${durationText(status.uptimeSeconds)}`,
    `  configuration: ${status.config}, ${count(status.credentials, 'credential')}`,
    `  queue ${queue.number}: ${queue.native ? 'nft queue' : 'iptables-nft NFQUEUE'}, ` +
      `${waiting(queue)}, ${queue.unanswered} unanswered`,
    `  services: ${services.join(', ') || 'none'}`,
    `  knocks: ${knocks.accepted} accepted, ${notGranted}${unchecked}${refused.length > 0 ? `refused: ${refused.join(', ')}` : '0 refused'}`,
    ...indented(grantCheckLines(status)),
    ...indented(notQueuedLines(status)),
    ...(status.signatures === 'down'
      ? ['  signatures are not verified: no knock of type ssh counts, see the log']
      : []),
    `  rules restored: ${status.healed}${status.watched ? '' : `; the ruleset is not watched: ${oneLine(status.unwatchedBecause ?? 'the log says why')}`}`,
    ...indented(status.selfTest ? selfTestLines(status.selfTest) : []),
    ...(status.table ? [`  table: ${tableText(status.table)}`] : []),
    ...(status.fleet ? [`  ${fleetLine(status.fleet)}`] : []),
    ...(status.lostLogLines
      ? [`  log: ${count(status.lostLogLines, 'line')} lost: its program does not read, or its file cannot be written`]
      : []),
    ...refusedLines(status),
    ...(status.strayPackets > 0
      ? [`  ${count(status.strayPackets, 'packet')} from a foreign rule for this queue`]
      : []),
  ]
}

const indented = (lines: readonly string[]) => lines.map(line => `  ${line}`)

function refusedLines({ refusedReload }: Status): string[] {
  if (!refusedReload) return []
  const { at, error, errors } = refusedReload
  const more = errors > 1 ? ` (and ${count(errors - 1, 'more error')})` : ''
  return [
    `  the reload at ${instantText(at)} was refused, and an older configuration is active: ${oneLine(error)}${more}`,
  ]
}

const waiting = ({ waiting }: Status['queue']): string =>
  waiting === null ? 'how many wait is for root' : `${waiting} waiting`
