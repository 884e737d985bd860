/** The table of events of the log in docs/json.md. */
import * as fs from 'node:fs'
import path from 'node:path'
import { root } from './commands.js'

interface EventFields {
  readonly always: readonly string[]
  /** Those in brackets. */
  readonly sometimes: readonly string[]
}

export function documentedEvents(): Map<string, EventFields> {
  const text = fs.readFileSync(path.join(root, 'docs/json.md'), 'utf8')
  const section = text.split('## Events of the log\n')[1]?.split('\n## ')[0] ?? ''
  const rows = [...section.matchAll(/^\| `([a-z-]+)` *\|([^|]*)\|/gm)]
  return new Map(
    rows.map(([, event = '', fields = '']) => {
      const names = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)
      const bracketed = /\(`[^`]+`\)/g
      return [
        event,
        { always: names(fields.replace(bracketed, '')), sometimes: names((fields.match(bracketed) ?? []).join()) },
      ]
    }),
  )
}

/** What the document does not say of an entry, or says of it wrongly; undefined where it has the entry. */
export function undocumented(entry: Readonly<Record<string, unknown>>): string | undefined {
  const { event, time: _time, level: _level, message: _message, jsonVersion: _version, ...fields } = entry
  const known = documentedEvents().get(String(event))
  if (!known) return `${String(event)} is no event of the document`
  const unknown = Object.keys(fields).filter(name => ![...known.always, ...known.sometimes].includes(name))
  const missing = known.always.filter(name => !(name in fields))
  if (unknown.length + missing.length === 0) return undefined
  return `${String(event)}: unknown ${unknown.join(', ') || '-'}; missing ${missing.join(', ') || '-'}`
}
