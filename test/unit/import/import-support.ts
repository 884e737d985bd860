/** What an importer has made: as YAML, as the daemon would read it, and what is said about it. */
import { parse } from 'yaml'
import type { Config, Credential } from '../../../src/config/types.js'
import type { ImportResult } from '../../../src/import/draft-entries.js'
import { printConfig } from '../../../src/import/print-yaml.js'
import type { Files } from '../config/config-support.js'
import { load } from '../config/config-support.js'

export interface Imported {
  readonly yaml: string
  readonly warnings: readonly string[]
  /** As pkctl check reads it; it must be valid. */
  readonly config: Config
  /** As it is written, without defaults. */
  readonly value: Readonly<Record<string, Record<string, Record<string, unknown>>>>
  readonly credentials: ReadonlyMap<string, Credential>
}

export function imported(plan: ImportResult, files: Files = {}): Imported {
  const { yaml, warnings } = printConfig(plan, 'A heading.', () => undefined)
  const { config } = load({ ...files, 'pkctl.yaml': yaml })
  const value = (parse(yaml) ?? {}) as Imported['value']
  return { yaml, warnings, config, value, credentials: new Map(config.credentials.map(one => [one.name, one])) }
}

/** What might break out of a place that expects plain text. */
export const hostile: readonly string[] = [
  "it's",
  'a "quoted" word',
  'back\\slash \\" \\n',
  '# no comment',
  'a: b',
  '- item',
  '*alias',
  '&anchor',
  '!!js/function',
  '{ flow: [map',
  '%YAML 1.2',
  '---',
  '...',
  '| block',
  '> folded',
  'null',
  '~',
  'true',
  '0x1f',
  '0123',
  '1e3',
  '.inf',
  '2001-01-01',
  '<<',
  '__proto__',
  'constructor',
  ' spaces ',
  'tab\there',
  'bell\x07',
  'escape\x1b[31m',
  'delete\x7f',
  'next\x85line',
  'separator\u2028line',
  'right\u202eleft',
  'bom\ufeff',
  'half \ud800 pair',
  'é ü 漢字 😀',
  '$(reboot)',
  '`reboot`',
  '; reboot',
  '{ip}',
  'x'.repeat(3000),
]
