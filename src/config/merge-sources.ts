/** The files of a configuration as one mapping. */
import { oneLine } from '../util/index.js'
import type { ConfigPath } from './config-path.js'
import { isMapping } from './config-path.js'
import type { Findings, SourcePosition } from './config-error.js'
import type { SourceFile } from './positions.js'
import { givenTwice, locate, startOf } from './positions.js'

/** All files as one mapping, and the position of each value in them. */
export interface Merged {
  readonly value: Readonly<Record<string, unknown>>
  /** Where the value at `at` stands; where there is none, that of the mapping which should have it. */
  positionOf(at: ConfigPath): SourcePosition
  /** Where the key of the value at `at` stands. */
  positionOfKey(at: ConfigPath): SourcePosition
  /** The file that gives the value at `at`. */
  fileOf(at: ConfigPath): string
}

/** Merges the files: each option and each name may be given once. `sections` are the keys that hold options or names. */
export function mergeSources(
  main: string,
  sources: SourceFile[],
  sections: readonly string[],
  findings: Findings,
): Merged {
  const value = new Map<string, unknown>()
  const origins = new Map<string, SourceFile>()
  const originOf = ([section, key]: ConfigPath) =>
    origins.get(JSON.stringify([section, key])) ?? origins.get(JSON.stringify([section]))
  const find = (at: ConfigPath, what: 'key' | 'value') => {
    const source = originOf(at)
    return source ? locate(source, at, what) : startOf(main)
  }

  /** Whether `at` is given here for the first time; a problem if not. */
  function claim(at: ConfigPath, source: SourceFile): boolean {
    const first = origins.get(JSON.stringify(at))
    if (!first) {
      origins.set(JSON.stringify(at), source)
      return true
    }
    findings.problem(
      locate(source, at, 'key'),
      `${at
        .slice(0, -1)
        .map(part => `${oneLine(String(part))}: `)
        .join('')}${givenTwice(String(at.at(-1)), locate(first, at, 'key'))}`,
    )
    return false
  }

  for (const source of sources) {
    for (const [section, given] of Object.entries(source.value)) {
      const content = given === null && sections.includes(section) ? {} : given
      const before = value.get(section)
      if (!isMapping(content) || (before !== undefined && !isMapping(before))) {
        if (claim([section], source)) value.set(section, content)
        continue
      }
      if (!origins.has(JSON.stringify([section]))) origins.set(JSON.stringify([section]), source)
      const added = Object.entries(content).filter(([key]) => claim([section, key], source))
      value.set(section, { ...(before ?? {}), ...Object.fromEntries(added) })
    }
  }
  return {
    value: Object.fromEntries(value),
    positionOf: at => find(at, 'value'),
    positionOfKey: at => find(at, 'key'),
    fileOf: at => originOf(at)?.file ?? main,
  }
}
