/** Reads /etc/pkctl/pkctl.yaml and conf.d beside it: all problems at once, or a configuration with every default. */
import * as path from 'node:path'
import type { Context } from './context.js'
import { checkCrowds, checkTwins, warnOfTails, warnOfUnopened } from './credentials/checks.js'
import { checkSharedShapes } from './credentials/interface-checks.js'
import { secretOptions } from './credentials/credential-schemas.js'
import { loadCredentials } from './credentials/load-credentials.js'
import type { SourcePosition } from './config-error.js'
import { ConfigError, Findings } from './config-error.js'
import { warnOfLinkLocal } from './warn-link-local.js'
import { checkClaims, checkFleetServices } from './load-fleet.js'
import { loadServices } from './load-services.js'
import { loadSettings } from './load-settings.js'
import { secretNotifyOption } from './notify-schema.js'
import { mergeSources } from './merge-sources.js'
import { checkMetrics } from './metrics-checks.js'
import type { SourceFile } from './positions.js'
import { startOf } from './positions.js'
import { readSources } from './read-sources.js'
import type { ConfigReader } from './reader.js'
import { nodeReader } from './reader.js'
import { stateDirectoryIn } from './configured-paths.js'
import { marksFor } from './default-mask.js'
import { mappingSections } from './schema.js'
import { warnOfReadableConfig } from './secrets.js'
import type { LoadedConfig } from './types.js'

export type { ConfigReader } from './reader.js'

/** The configuration that `file` and its conf.d give. Throws a ConfigError with everything that is wrong, else nothing. */
export function loadConfig(file: string, reader: ConfigReader = nodeReader): LoadedConfig {
  const findings = new Findings()
  const sources = readSources(file, reader, findings)
  refuseNothing(file, sources, findings)
  const merged = mergeSources(file, sources, mappingSections, findings)
  const allowReadableKeys = merged.value['allow-readable-keys'] === true
  const context: Context = { merged, findings, reader, allowReadableKeys }
  const settings = loadSettings(context)
  if (settings) checkMetrics(settings, context)
  const services = loadServices(context)
  if (settings?.fleet) checkFleetServices(settings.fleet, services, context)
  const credentials = loadCredentials(context)
  checkTwins(credentials, context)
  checkCrowds(credentials, context)
  checkClaims(credentials, context)
  checkSharedShapes(credentials, context)
  warnOfLinkLocal(services, context)
  warnOfTails(credentials, context)
  warnOfUnopened(services, credentials, context)
  warnOfReadableConfig(context, [...secretOptions, secretNotifyOption])
  const marks = settings && marksFor(settings.marks, credentials, services, context)

  if (findings.problems.length > 0 || settings === undefined || marks === undefined) {
    const stateDirectory = settings?.stateDirectory ?? stateDirectoryIn(merged)
    const readable = { services, ...(stateDirectory !== undefined && { stateDirectory }) }
    throw new ConfigError([...findings.problems].sort(byPosition(file)), readable)
  }
  return {
    config: { file: path.resolve(file), ...settings, marks, services, credentials },
    warnings: findings.warnings,
  }
}

/** Rather a file that was cut off than the wish to guard nothing, which must not open everything at the next boot. */
function refuseNothing(file: string, sources: readonly SourceFile[], findings: Findings): void {
  const isEmpty = ({ document: { contents, comment, commentBefore } }: SourceFile) =>
    contents === null && !comment && !commentBefore
  if (findings.problems.length > 0 || !sources.every(isEmpty)) return
  findings.problem(startOf(file), 'the configuration is empty', "'services: {}' says that there is nothing to protect")
}

/** The main file first, conf.d by name, as they are read. */
const byPosition = (main: string) => (a: SourcePosition, b: SourcePosition) => {
  if (a.file !== b.file) return a.file === main || (b.file !== main && a.file < b.file) ? -1 : 1
  return a.line - b.line || a.column - b.column
}
