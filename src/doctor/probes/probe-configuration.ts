/** The configuration: read as the daemon reads it, and the files that belong to it. */
import * as fs from 'node:fs'
import path from 'node:path'
import { ConfigError, Findings, formatPosition } from '../../config/config-error.js'
import type { SourceFile } from '../../config/index.js'
import {
  eachOnce,
  hiddenFiles,
  hiddenKeys,
  isMapping,
  loadConfig,
  nodeReader,
  notingReader,
  readOneTimeFile,
  readSources,
  secretOptions,
  unwritablePaths,
} from '../../config/index.js'
import type { Config } from '../../config/types.js'
import type { Step } from '../../knock/index.js'
import { defaultStateDirectory } from '../../util/index.js'
import type { ConfigurationFacts, FileFacts } from '../facts.js'
import type { NotSeen } from './not-inspected.js'
import { fileFacts } from './probe-file.js'

export async function configurationFacts(given: string, notSeen: NotSeen): Promise<ConfigurationFacts> {
  const file = path.resolve(given)
  const nothing = {
    file,
    present: true,
    config: null,
    problems: [],
    changedAt: null,
    oneTime: new Map<string, Step[][]>(),
    unwritable: [],
    hidden: [],
  }
  try {
    fs.accessSync(file, fs.constants.R_OK)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { ...nothing, present: false }
    notSeen(`the configuration ${file}`, 'permission denied')
    return nothing
  }
  const changedAt = lastChange(file)
  try {
    const files: string[] = []
    const { config } = loadConfig(file, notingReader(files))
    const keys = await hiddenKeys(config)
    const hidden = () => eachOnce([...hiddenFiles(files), ...keys.files])
    const access = process.geteuid?.() === 0 ? { unwritable: unwritablePaths(config), hidden: hidden() } : {}
    return { ...nothing, config, changedAt, oneTime: oneTimeLines(config, notSeen), ...access }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const problems = error.problems.map(problem => `${formatPosition(problem)}: ${problem.message}`)
    const denied = process.geteuid?.() !== 0 && problems.every(text => text.includes('permission denied'))
    if (!denied) return { ...nothing, changedAt, problems }
    notSeen('the configuration', problems[0] ?? 'permission denied')
    return nothing
  }
}

const sourcesOf = (file: string): SourceFile[] => readSources(file, nodeReader, new Findings())

function lastChange(file: string): number | null {
  const times = sourcesOf(file).map(source => fs.statSync(source.file, { throwIfNoEntry: false })?.mtimeMs ?? 0)
  return times.length === 0 ? null : Math.max(...times) / 1000
}

function oneTimeLines({ credentials }: Config, notSeen: NotSeen): Map<string, readonly (readonly Step[])[]> {
  const lines = new Map<string, readonly (readonly Step[])[]>()
  for (const credential of credentials) {
    if (credential.type !== 'one-time') continue
    try {
      const { unused } = readOneTimeFile(credential.file)
      lines.set(
        credential.name,
        unused.map(({ steps }) => steps),
      )
    } catch (error) {
      notSeen(`the sequences of ${credential.name}`, error)
    }
  }
  return lines
}

/** Every file that pkctl relies on; taken from the text, so that a configuration with mistakes is looked at, too. */
export function filesOf(configuration: ConfigurationFacts, socket: string): FileFacts[] {
  const sources = configuration.present ? sourcesOf(configuration.file) : []
  const state = sources.map(({ value }) => value['state-directory']).find(one => typeof one === 'string')
  return [
    ...sources.map(source =>
      fileFacts(source.file, 'configuration', {
        holdsSecrets: credentialsIn(source).some(([, given]) => hasSecret(given)),
      }),
    ),
    ...sources.flatMap(source =>
      credentialsIn(source).flatMap(([name, given]) => filesOfCredential(source, name, given)),
    ),
    fileFacts(typeof state === 'string' ? state : defaultStateDirectory, 'state'),
    fileFacts(socket, 'socket'),
  ].filter(({ what, usable }) => usable || what === 'program')
}

function credentialsIn({ value }: SourceFile): [string, Record<string, unknown>][] {
  const section = value['credentials']
  const entries = isMapping(section) ? Object.entries(section) : []
  return entries.flatMap(([name, given]) => (isMapping(given) ? [[name, given]] : []))
}

const hasSecret = (given: Record<string, unknown>) => secretOptions.some(option => option in given)

function filesOfCredential({ file }: SourceFile, credential: string, given: Record<string, unknown>): FileFacts[] {
  const named = (option: string, what: FileFacts['what']) => {
    const value = given[option]
    if (typeof value !== 'string' || value === '') return []
    return [fileFacts(path.resolve(path.dirname(file), value), what, { credential })]
  }
  const programs = ['on-open', 'on-close', 'on-expiry'].flatMap(event => {
    const trigger = given[event]
    if (!isMapping(trigger)) return []
    return [trigger['command'], trigger['command6']].flatMap(words => {
      const program: unknown = Array.isArray(words) ? words[0] : undefined
      return typeof program === 'string' && program.startsWith('/')
        ? [fileFacts(program, 'program', { credential })]
        : []
    })
  })
  return [
    ...secretOptions.flatMap(option => named(`${option}-file`, 'secret')),
    ...named('sequences-file', 'sequences'),
    ...programs,
  ]
}
