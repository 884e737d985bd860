/**
 * knockd runs a stop_command for each start_command; a grant that is extended has one end. A rule that is added by each
 * knock would stay there after the first: what is added is removed before.
 */
import { readShell } from './shell-words.js'

/** Commands whose start_command can be run several times for one stop_command; undefined where that is not plain. */
export function repeatable(values: ReadonlyMap<string, string>): ReadonlyMap<string, string> | undefined {
  const stop = values.get('stop_command') ?? ''
  const once = new Map(values)
  for (const [key, other] of [
    ['start_command', stop],
    ['start_command_6', values.get('stop_command_6') ?? stop],
  ] as const) {
    const start = values.get(key) ?? ''
    if (start === '') continue
    if (!isPlain(other)) return undefined
    once.set(key, `(${other}) >/dev/null 2>&1; ${start}`)
  }
  return once
}

/** Whether a shell takes the line as part of another. */
const isPlain = (line: string) =>
  line !== '' &&
  !line.includes('#') &&
  readShell(line).commands.every(({ literal, operator }) => literal && ['', ';', '&&'].includes(operator))

/** Whether stop_command deletes the rules of iptables that start_command adds. */
export function deletesRules(values: ReadonlyMap<string, string>): boolean {
  const pairs = [
    ['start_command', 'stop_command'],
    ['start_command_6', 'stop_command_6'],
  ].map(keys => keys.map(key => values.get(key) ?? ''))
  return pairs.every(([start = '', stop = '']) => {
    if (start === '' && stop === '') return true
    return /\bip6?tables/.test(start) && withoutVerb(start, adding) === withoutVerb(stop, deleting)
  })
}

const adding = /\s(?:-[AI]|--append|--insert)\s+(\S+)(?:\s+\d+(?=\s))?/g
const deleting = /\s(?:-D|--delete)\s+(\S+)/g

const withoutVerb = (line: string, verb: RegExp) => line.replace(verb, ' @ $1').replace(/\s+/g, ' ').trim()
