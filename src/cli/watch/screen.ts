/** The screen of `pkctl watch`, as lines of text that fit. */
import type { Status } from '../../controller/index.js'
import type { HistoryEntry } from '../../daemon/history-lines.js'
import type { ServiceState } from '../../nft/index.js'
import { parseGrantComment } from '../../nft/index.js'
import { count, durationText, oneLine } from '../../util/index.js'
import { localTime } from '../output/history-text.js'
import { grantCheckLines, notQueuedLines, selfTestLines, tableText, waitingLines } from '../output/health-warnings.js'
import { portsText } from '../output/service-text.js'
import type { View } from './view.js'

export interface GrantLine {
  readonly service: string
  readonly source: string
  readonly by: string
  readonly secondsLeft: number | null
  /** Of a grant by hand: who made it, when, and why. */
  readonly comment?: string
}

interface Layout {
  readonly columns: number
  readonly rows: number
  /** The index of the selected grant. */
  readonly selected: number
  /** Shown are only grants and entries that contain this; empty for all. */
  readonly filter: string
  /** The last line: a question, or what was done. Empty for the keys. */
  readonly note: string
  /** Milliseconds of the monotonic clock. */
  readonly now: number
  readonly strong: (text: string) => string
}

const keys = 'up/down select  r revoke  e extend  / filter  q quit'

/** The grants that the view shows, those that end first before others. */
export function grantLines({ services }: View, filter: string): GrantLine[] {
  const all = services.flatMap(({ spec, grants }) => grants.map(grant => ({ service: spec.name, ...grant })))
  const wanted = all.filter(({ service, source, by }) => `${source} ${service} ${by}`.includes(filter))
  return wanted.sort((a, b) => (a.secondsLeft ?? Infinity) - (b.secondsLeft ?? Infinity))
}

/** At most `rows` lines of at most `columns` characters. `before` is an earlier view, for packets a second. */
export function drawScreen(view: View, before: View | undefined, layout: Layout): string[] {
  const { columns, rows, strong } = layout
  const head = [...healthLines(view, layout), '', ...serviceLines(view, before, layout), '']
  const room = Math.max(2, rows - head.length - 4)
  const grants = grantBlock(view, layout, Math.max(1, Math.ceil(room / 2)))
  const knocks = entryBlock(view, layout, room - grants.length)
  const title = (text: string) => strong(cut(text, columns))
  const lines = [...head, title('GRANTS'), ...grants, '', title('LOG'), ...knocks]
  const shown = lines.slice(0, Math.max(0, rows - 1))
  return [...shown, ...Array<string>(Math.max(0, rows - 1 - shown.length)).fill(''), cut(layout.note || keys, columns)]
}

function healthLines({ status, problems, unconfirmed }: View, { columns, strong }: Layout): string[] {
  const lines = status
    ? [...statusLines(status), ...waitingLines(unconfirmed)]
    : [`pkctld does not answer: ${problems[0] ?? ''}`]
  const rest = status ? problems : problems.slice(1)
  return [...lines, ...rest].map((line, i) => {
    const text = cut(oneLine(line), columns)
    return i === 0 ? strong(text) : text
  })
}

function statusLines(status: Status): string[] {
  const { knocks, queue, version } = status
  const refused = Object.entries(knocks.refused).map(([reason, number]) => `${number} ${reason}`)
  const hours = Math.floor(status.uptimeSeconds / 3600)
  const up = hours > 0 ? `${hours} h` : `${Math.floor(status.uptimeSeconds / 60)} min`
  return [
    `pkctld ${version}, up ${up}; queue ${queue.number}: ${queue.waiting ?? '?'} waiting, ${queue.unanswered} unanswered`,
    `knocks: ${knocks.accepted} accepted, ${refused.length > 0 ? `refused: ${refused.join(', ')}` : '0 refused'}`,
    ...(status.selfTest ? selfTestLines(status.selfTest) : []),
    ...(status.table?.because === undefined ? [] : [`table: ${tableText(status.table)}`]),
    ...grantCheckLines(status),
    ...notQueuedLines(status),
    ...(status.watched ? [] : [`the ruleset is not watched: ${status.unwatchedBecause ?? 'see the log'}`]),
    ...(status.signatures === 'down' ? ['signatures are not verified: see the log'] : []),
    ...(status.refusedReload ? [`the last reload was refused: ${status.refusedReload.error}`] : []),
    ...(knocks.notGranted ? [`${count(knocks.notGranted, 'accepted knock')} without a grant in the kernel`] : []),
    ...(knocks.unchecked ? [`${count(knocks.unchecked, 'accepted knock')} not checked in the kernel`] : []),
    ...(status.healed > 0 ? [`rules restored: ${status.healed}`] : []),
  ]
}

function serviceLines(view: View, before: View | undefined, { columns }: Layout): string[] {
  if (view.services.length === 0) return ['no services']
  return view.services.map(state => {
    const { spec, sound, grants } = state
    const earlier = before?.services.find(one => one.spec.name === spec.name)
    const traffic = `${rate(state, earlier, view, before, 'admittedPackets')} accepted, ${rate(state, earlier, view, before, 'refusedPackets')} refused`
    const line = `${spec.name.padEnd(10)} ${portsText(spec).padEnd(12)} ${count(grants.length, 'grant')}; packets: ${traffic}`
    return cut(sound ? line : `${line}; damaged`, columns)
  })
}

/** `120 (3/s)` */
function rate(
  state: ServiceState,
  earlier: ServiceState | undefined,
  view: View,
  before: View | undefined,
  counter: 'admittedPackets' | 'refusedPackets',
): string {
  const seconds = before ? (view.at - before.at) / 1000 : 0
  const more = state[counter] - (earlier?.[counter] ?? state[counter])
  return seconds > 0 && more > 0
    ? `${state[counter]} (${Math.max(1, Math.round(more / seconds))}/s)`
    : `${state[counter]}`
}

function grantBlock(view: View, { columns, selected, filter, now }: Layout, room: number): string[] {
  const grants = grantLines(view, filter)
  if (grants.length === 0) return [filter === '' ? '  none' : `  none with ${oneLine(filter)}`]
  const elapsed = (now - view.at) / 1000
  // The selected one stays in sight.
  const start = Math.max(0, Math.min(selected - room + 1, grants.length - room))
  const shown = grants.slice(start, start + room)
  const more = grants.length - start - shown.length
  return shown.map(({ source, service, by, secondsLeft, comment }, i) => {
    const left =
      secondsLeft === null ? 'no time limit' : `${durationText(Math.max(0, Math.ceil(secondsLeft - elapsed)))} left`
    const said = parseGrantComment(comment) ? `  ${oneLine(comment ?? '')}` : ''
    const rest = i === room - 1 && more > 0 ? `   and ${more} more` : said
    const mark = start + i === selected ? '>' : ' '
    return cut(`${mark} ${source.padEnd(24)} ${service.padEnd(10)} ${left.padEnd(14)} by ${by}${rest}`, columns)
  })
}

function entryBlock({ entries }: View, { columns, filter, strong }: Layout, room: number): string[] {
  const wanted = entries.filter(entry => matches(entry, filter))
  if (wanted.length === 0) return ['  nothing yet']
  return wanted.slice(-Math.max(1, room)).map(({ time, level, message }) => {
    const isImportant = level === 'error' || level === 'warn'
    const text = cut(`  ${localTime(new Date(time))[1]} ${isImportant ? `${level}: ` : ''}${oneLine(message)}`, columns)
    return isImportant ? strong(text) : text
  })
}

const matches = (entry: HistoryEntry, filter: string) => filter === '' || JSON.stringify(entry).includes(filter)

const cut = (text: string, columns: number): string =>
  text.length <= columns ? text : `${text.slice(0, Math.max(0, columns - 1))}…`
