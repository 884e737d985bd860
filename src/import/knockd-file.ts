/** The text of knockd.conf: sections with their values, and the section `options`. */
import { maxWindowSeconds } from '../config/service-rules.js'
import type { Draft } from './draft.js'
import { interfaceOf } from './interface-names.js'
import type { Note } from './notes.js'
import { caution, shorten } from './notes.js'

export interface Section {
  readonly name: string
  readonly values: Map<string, string>
}

export function readSections(text: string, draft: Draft): Section[] {
  const sections: Section[] = []
  let section: Section | undefined
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/)
  lines.forEach((raw, i) => {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) return
    const name = /^\[(.*)\]$/s.exec(line)?.[1]
    if (name !== undefined) {
      section = { name, values: new Map() }
      sections.push(section)
      return
    }
    // What follows belongs to whatever was meant to begin here, and not to the section before it.
    if (line.startsWith('[')) section = undefined
    const at = line.indexOf('=')
    const key = (at < 0 ? line : line.slice(0, at)).trim()
    const value = at < 0 ? undefined : line.slice(at + 1).trim()
    const flag = key.toLowerCase() === 'usesyslog'
    if (!section || key === '' || (value === undefined && !flag)) {
      draft.caution(`left out: line ${i + 1}: neither [name] nor key = value of a section: ${shorten(line)}`)
      return
    }
    const known = aliases[key.toLowerCase()] ?? key.toLowerCase()
    if (section.values.has(known)) {
      draft.caution(`line ${i + 1}: ${shorten(key)} is given twice in [${shorten(section.name)}]; the last one counts`)
    }
    section.values.set(known, value ?? '')
  })
  return sections
}

const aliases: Readonly<Record<string, string>> = {
  command: 'start_command',
  command_6: 'start_command_6',
  timeout: 'seq_timeout',
}

/** What is set for knockd as a whole. */
export function readOptions(section: string, values: ReadonlyMap<string, string>, draft: Draft): void {
  for (const [key, value] of values) {
    if (key === 'usesyslog') draft.set('log', { to: 'syslog' })
    else if (key === 'logfile') {
      const where = values.has('usesyslog')
        ? 'the log goes to syslog'
        : 'the log goes to stderr, the journal of systemd'
      const how = 'under the units of the packages, pkctld can write below /var/log/pkctl alone'
      draft.caution(`left out: LogFile = ${shorten(value)}: ${where}; ${how}`)
    } else if (key === 'pidfile') draft.remark(`left out: PidFile = ${shorten(value)}: pkctld needs none`)
    else if (key === 'interface') {
      const closed =
        'ports are closed on all interfaces: sources behind another one, such as a LAN or a VPN, need to be in the allow ' +
        'of the service, or give the service the interface by which alone it is to be closed'
      if (/^(any|all)$/i.test(value)) draft.remark(`left out: Interface = ${shorten(value)}, as it is here`)
      else if (interfaceOf(value) === undefined)
        draft.caution(`left out: Interface = ${shorten(value)}: knocks count on all interfaces, and ${closed}`)
      else draft.caution(`Interface = ${shorten(value)}: knocks count on this interface alone, but ${closed}`)
    } else
      draft.caution(`left out: ${shorten(key)} in [${shorten(section)}]: it is no option of knockd that is known here`)
  }
}

/** By which interfaces knocks count; none are all. As there, the last one counts. */
export function knockInterfaces(sections: readonly Section[]): string[] {
  const name = sections.flatMap(({ values }) => values.get('interface') ?? []).at(-1)
  const known = name === undefined || /^(any|all)$/i.test(name) ? undefined : interfaceOf(name)
  return known === undefined ? [] : [known]
}

/** A time in seconds, or `otherwise` where there is none that can be used. */
export function secondsOf(values: ReadonlyMap<string, string>, key: string, otherwise: number, notes: Note[]): number {
  const text = values.get(key)
  if (text === undefined) return otherwise
  // knockd reads the digits, and passes over what follows them.
  const seconds = /^\d{1,8}(?!\d)/.test(text) ? parseInt(text, 10) : 0
  if (seconds >= 1 && seconds <= maxWindowSeconds) return seconds
  notes.push(caution(`${key} = ${shorten(text)} is no time from 1 second to a year; it is ${otherwise} here`))
  return otherwise
}
