/** A command of knockd that opens no port of its own accord: run as it is, by a trigger. */
import type { TriggerDraft } from './draft-entries.js'
import type { Note } from './notes.js'
import { caution } from './notes.js'
import { literalWords } from './shell-words.js'

/** Undefined where there is no command, or none that can be run. */
export function triggerDraft(
  values: ReadonlyMap<string, string>,
  key: string,
  notes: Note[],
): TriggerDraft | undefined {
  const line = values.get(key)
  const line6 = values.get(`${key}_6`)
  if (!line && !line6) return undefined
  if ([line, line6].some(text => text?.includes('\0'))) return undefined
  const asleep = Math.max(secondsAsleep(line ?? ''), secondsAsleep(line6 ?? ''))
  const usable = Number.isFinite(asleep) && asleep + 30 <= maxCommandSeconds
  if (!usable) {
    notes.push(
      caution(
        `the time that ${key} sleeps is unknown, or more than a day: what it does afterwards is done only ` +
          'within the timeout, which is 30 s unless it is given',
      ),
    )
  }
  return {
    ...commandOf(line ?? '', ''),
    ...(line6 === undefined || line6 === line ? {} : commandOf(line6, '6')),
    ...(asleep > 0 && usable ? { timeout: asleep + 30 } : {}),
  }
}

const maxCommandSeconds = 86_400
const secondsPerUnit: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600, d: 86_400 }

/** How long a line sleeps in all, as far as it says so in numbers; NaN where it does not. */
function secondsAsleep(line: string): number {
  const times = [...line.matchAll(/\bsleep((?:\s+[^\s;&|)]+)+)/g)].flatMap(([, all = '']) => all.trim().split(/\s+/))
  return times.reduce((sum, time) => {
    const [, digits, unit = ''] = /^(\d{1,5})([smhd]?)$/.exec(time) ?? []
    return sum + Number(digits) * (secondsPerUnit[unit] ?? NaN)
  }, 0)
}

/** Without a shell where none is needed. */
function commandOf(line: string, version: '' | '6'): Record<string, unknown> {
  if (line === '') return { [`command${version}`]: [] }
  const words = literalWords(line)
  if (words?.[0]?.startsWith('/')) return { [`command${version}`]: words }
  return { [`shell${version}`]: line }
}
