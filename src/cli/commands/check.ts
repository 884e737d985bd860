import * as fs from 'node:fs'
import * as path from 'node:path'
import { Command } from 'commander'
import { unmatchedInterfaces } from '../../config/host-interfaces.js'
import { hostInterfaces } from '../../net/index.js'
import {
  configJsonSchema,
  hiddenFrom,
  loadConfig,
  nodeReader,
  daemonCanWrite,
  daemonUser,
  unopenedServices,
  unwritablePaths,
} from '../../config/index.js'
import type { Terminal } from '../../util/index.js'
import { configDirectory, count, defaultConfig } from '../../util/index.js'
import { unwritableText } from '../changes/warn-of-unopened.js'
import { keyFingerprints } from '../output/key-fingerprints.js'
import { keyList } from '../output/key-list.js'

export function checkCommand(terminal: Terminal): Command {
  return new Command('check')
    .description('validate the configuration and touch nothing; the exit status tells')
    .option('--config <file>', 'the configuration to check', defaultConfig)
    .option('--schema', 'print the JSON Schema of the configuration, for editors, and check nothing')
    .action(async (flags: { config: string; schema?: boolean }) => {
      if (flags.schema) {
        terminal.out(JSON.stringify(configJsonSchema(), null, 2))
        return
      }
      const files: string[] = []
      const noted = (how: 'readFile' | 'readNamed') => (file: string, maxBytes: number) => {
        files.push(path.resolve(file))
        return nodeReader[how](file, maxBytes)
      }
      const { config, warnings } = loadConfig(flags.config, {
        ...nodeReader,
        daemonGroup: nodeReader.daemonGroup,
        readFile: noted('readFile'),
        readNamed: noted('readNamed'),
        readOwned: file => {
          files.push(path.resolve(file))
          return nodeReader.readOwned(file)
        },
        readChecked: (file, maxBytes) => {
          files.push(path.resolve(file))
          return nodeReader.readChecked(file, maxBytes)
        },
      })
      for (const warning of warnings) terminal.warn(warning)
      for (const { message, advice } of unmatchedInterfaces(config, hostInterfaces()))
        terminal.warn(`${message}; ${advice}`)
      const daemon = (process.geteuid?.() === 0 ? daemonUser()?.uid : process.geteuid?.()) ?? 0
      for (const credential of config.credentials) {
        if (credential.type !== 'ssh') continue
        const { lines, problems, files: read } = await keyList(credential, daemon)
        files.push(...read)
        for (const problem of problems) terminal.warn(`credentials.${credential.name}: ${problem}`)
        for (const line of lines) terminal.out(line)
      }
      for (const line of keyFingerprints(config.credentials)) terminal.out(line)
      const marked = config.credentials.flatMap(one => (one.type === 'one-time' ? [one.file] : []))
      if (process.geteuid?.() === 0) {
        warnOfHidden(files, marked, terminal)
        for (const unwritable of unwritablePaths(config)) terminal.warn(unwritableText(unwritable))
      }
      for (const warning of await unopenedServices(config)) terminal.warn(warning)
      terminal.out(
        `${config.file} is valid: ${count(config.services.length, 'service')}, ${count(config.credentials.length, 'credential')}`,
      )
    })
}

/** Warns of files that root can read and the daemon cannot: its next start would fail, and no knock would work. */
function warnOfHidden(files: readonly string[], written: readonly string[], terminal: Terminal): void {
  const user = daemonUser()
  if (!user) return
  const warnings = files.flatMap(name => {
    const file = fs.realpathSync(name)
    const shut = hiddenFrom(user, file, 0o4)
    return shut === undefined
      ? []
      : [`pkctld, which runs as user pkctl, cannot read ${shut}; ${accessAdvice(shut, file)}`]
  })
  for (const warning of new Set(warnings)) terminal.warn(warning)
  for (const file of written.map(name => fs.realpathSync(name))) {
    if (daemonCanWrite(user, file)) continue
    terminal.warn(
      `pkctld runs as user pkctl and cannot mark lines of ${file} as used, so no sequence of it opens anything; ` +
        `install -o pkctl -g pkctl -m 600 ${file} /var/lib/pkctl/`,
    )
  }
}

/**
 * How the service gets to read the file. Directories elsewhere, such as the home of root, stay shut: for the sake of one
 * file, the group would get into all that is in them.
 */
function accessAdvice(shut: string, file: string): string {
  const isDirectory = fs.statSync(shut).isDirectory()
  if (!isDirectory || shut === configDirectory || shut.startsWith(`${configDirectory}/`))
    return `chgrp pkctl ${shut}; chmod ${isDirectory ? 'g+x' : 'g+r'} ${shut}`
  const into = /\.ya?ml$/.test(file) ? configDirectory : `${configDirectory}/keys`
  return `install -g pkctl -m 640 ${file} ${into}/, and name that file instead`
}
