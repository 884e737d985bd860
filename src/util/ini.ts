/** INI files as Python 2's ConfigParser reads them; what this reader does not know is an error. */

export type Sections = ReadonlyMap<string, ReadonlyMap<string, string>>

export class IniError extends Error {
  override readonly name = 'IniError'
  constructor(
    readonly line: number,
    message: string,
  ) {
    super(message)
  }
}

/** Values of this section hold in all others. */
const defaults = 'DEFAULT'

/** Sections and their values. Names of values are lower-cased; of what is given twice, the last counts. */
export function parseIni(text: string): Sections {
  const sections = new Map<string, Map<string, string>>()
  let current: Map<string, string> | undefined
  let continues = false
  for (const [i, line] of text
    .replace(/^\ufeff/, '')
    .split(/\r?\n/)
    .entries()) {
    if (/^\s*([#;]|$)|^rem(\s|$)/i.test(line)) continue
    const fail = (message: string): never => {
      throw new IniError(i + 1, message)
    }
    if (continues && /^\s/.test(line)) fail('a line that begins with a space goes on with the one before')
    const section = /^\s*\[([^\]]+)\]/.exec(line)?.[1]
    if (section !== undefined) {
      current = sections.get(section) ?? new Map<string, string>()
      sections.set(section, current)
      continues = false
      continue
    }
    const [, name = '', value = ''] = /^([^=:]*)[=:](.*)$/.exec(line) ?? fail("expected [section], or 'name = value'")
    if (name.trim() === '') fail('a value without a name')
    if (current === undefined) fail('a value before the first [section]')
    if (value.includes('%(')) fail("'%(' (interpolation) is not supported")
    current?.set(name.trim().toLowerCase(), valueOf(value))
    continues = true
  }
  const shared = sections.get(defaults) ?? new Map<string, string>()
  sections.delete(defaults)
  return new Map([...sections].map(([name, values]) => [name, new Map([...shared, ...values])]))
}

/** A semicolon starts a comment if it is the first one and has a space before it; `""` is empty. */
function valueOf(text: string): string {
  const value = text
    .trim()
    .replace(/^([^;]*)\s;.*$/, '$1')
    .trimEnd()
  return value === '""' ? '' : value
}
