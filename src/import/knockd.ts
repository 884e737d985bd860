/** knockd.conf: a credential for each section, and a service for what its command opens. */
import type { ImportResult } from './draft-entries.js'
import { Draft } from './draft.js'
import { keysOf } from './firewall-lines.js'
import { interfaceOption } from './interface-names.js'
import { KnockSection } from './knockd-section.js'
import type { Section } from './knockd-file.js'
import { knockInterfaces, readOptions, readSections } from './knockd-file.js'
import type { FileReader } from './knockd-knocks.js'
import { rightsOfCommands, shorten } from './notes.js'

export function importKnockd(text: string, reader: FileReader): ImportResult {
  const draft = new Draft()
  const all = readSections(text, draft)
  const options = all.filter(isOptions)
  for (const { name, values } of options) readOptions(name, values, draft)
  const limited = interfaceOption(knockInterfaces(options))
  const sections = all
    .filter(section => !isOptions(section))
    .map(({ name, values }) => new KnockSection(name, values, reader))
  const keysOfAll = (action: 'open' | 'close') =>
    new Set(sections.flatMap(({ commands }) => (commands.start?.action === action ? keysOf(commands.start) : [])))
  const together = {
    opened: keysOfAll('open'),
    closed: keysOfAll('close'),
    hasOthers: sections.some(({ commands }) => !commands.plain),
  }
  for (const section of sections) {
    const credential = section.credential(together)
    if (typeof credential === 'string') draft.caution(`left out: section '${shorten(section.name)}': ${credential}`)
    else draft.credential({ ...credential, options: { ...credential.options, ...limited } })
  }
  if (sections.some(({ isTriggered }) => isTriggered)) {
    draft.remark(
      'knockd waits for commands as long as they take; here they are ended after 30 s, or the time of timeout',
    )
    draft.remark(`knockd runs commands as root; ${rightsOfCommands}`)
  }
  return draft.finish()
}

const isOptions = ({ name }: Section) => name.toLowerCase() === 'options'
