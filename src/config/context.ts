import { quote, shown } from '../util/index.js'
import { isMapping } from './config-path.js'
import type { Findings } from './config-error.js'
import type { Merged } from './merge-sources.js'
import type { ConfigReader } from './reader.js'
import { namePattern, nameRule } from './values.js'

/** What the checks have in common. */
export interface Context {
  readonly merged: Merged
  readonly findings: Findings
  readonly reader: ConfigReader
  readonly allowReadableKeys: boolean
}

/** The entries of a section whose keys are names, without those whose name cannot be one. */
export function namedEntries(section: 'services' | 'credentials', { merged, findings }: Context): [string, unknown][] {
  const entries = merged.value[section] ?? {}
  if (!isMapping(entries)) {
    findings.problem(merged.positionOf([section]), `${section}: expected a mapping of names, got ${shown(entries)}`)
    return []
  }
  return Object.entries(entries).filter(([name]) => {
    const isName = namePattern.test(name)
    if (!isName) {
      findings.problem(merged.positionOfKey([section, name]), `${section}: ${quote(name)} is not a name`, nameRule)
    }
    return isName
  })
}
