/** The options of a configuration as they are written, for commands that need some of them and change none. */
import { ConfigError, Findings } from './config-error.js'
import type { Merged } from './merge-sources.js'
import { mergeSources } from './merge-sources.js'
import { readSources } from './read-sources.js'
import { nodeReader } from './reader.js'
import { mappingSections } from './schema.js'

/** Throws a ConfigError for files that cannot be read, or are not YAML. */
export function readMerged(file: string): Merged {
  const findings = new Findings()
  const merged = mergeSources(file, readSources(file, nodeReader, findings), mappingSections, findings)
  if (findings.problems.length > 0) throw new ConfigError(findings.problems, { services: [] })
  return merged
}
