/** The files that a configuration consists of: /etc/pkctl/pkctl.yaml and conf.d beside it. */
import * as path from 'node:path'
import { decodeText, reasonOf } from '../util/index.js'
import type { Findings } from './config-error.js'
import { parseYaml } from './parse-yaml.js'
import type { SourceFile } from './positions.js'
import { startOf } from './positions.js'
import type { ConfigReader } from './reader.js'
import { isTooDeep } from './yaml-depth.js'

const maxFileSize = 4 * 1024 * 1024

/** The main file and those of conf.d beside it, as far as they could be parsed. */
export function readSources(file: string, reader: ConfigReader, findings: Findings): SourceFile[] {
  const directory = path.join(path.dirname(file), 'conf.d')
  return [file, ...listDirectory(directory, reader, findings)].flatMap(each => readSource(each, reader, findings) ?? [])
}

function listDirectory(directory: string, reader: ConfigReader, findings: Findings): string[] {
  try {
    return reader
      .readDirectory(directory)
      .filter(name => /^[^.].*\.ya?ml$/s.test(name))
      .sort()
      .map(name => path.join(directory, name))
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') {
      findings.problem(startOf(directory), `cannot be read: ${reasonOf(cause)}`)
    }
    return []
  }
}

function readSource(file: string, reader: ConfigReader, findings: Findings): SourceFile | undefined {
  const refuse = (message: string): undefined => {
    findings.problem(startOf(file), message)
    return undefined
  }
  let bytes: Buffer
  try {
    bytes = reader.readFile(file, maxFileSize)
  } catch (cause) {
    refuse(`cannot be read: ${reasonOf(cause)}`)
    return
  }
  if (bytes.length > maxFileSize) {
    refuse(`is larger than ${maxFileSize / 1024 / 1024} MiB`)
    return
  }
  const text = decodeText(bytes)
  if (text === undefined) {
    refuse('is not UTF-8 text')
    return
  }
  if (isTooDeep(text)) {
    refuse('is nested too deeply')
    return
  }
  return parseYaml(file, text, findings)
}
