import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { Command } from 'commander'
import { namePattern } from '../../config/values.js'
import { formatIdentity, maxKeyLength, newServerKey, serverKeyText } from '../../knock/index.js'
import type { Terminal } from '../../util/index.js'
import {
  defaultConfig,
  defaultStateDirectory,
  expandHome,
  makeNew,
  oneLine,
  privateMode,
  shareFile,
  usageError,
  UserError,
} from '../../util/index.js'
import { parseCount } from '../flags/flag-values.js'
import { existingIdentity, ensureServerIdentity } from '../server/server-key-file.js'

/** Below this, a captured knock could be tried against all keys. */
const minKeyBytes = 16
/** Fits every client: see `longestOfKnockC`. */
const defaultKeyBytes = 32
/** In hex; of a longer key, knock.c of ipt_pkd loses the last digit. */
const longestOfKnockC = 39

const help = `
Server and client must have the same key. Create a separate key for each client and for each server: a captured knock also
opens the other servers that have its key.

Examples:
  pkctl keygen --out /etc/pkctl/keys/laptop
  pkctl keygen --bytes 39
  pkctl keygen --server
  pkctl keygen --group /etc/pkctl/keys/fleet`

export function keygenCommand(terminal: Terminal): Command {
  return new Command('keygen')
    .description('make a key, random and in hex, and say where it goes')
    .option('--bytes <n>', `length of the key, ${minKeyBytes} to ${maxKeyLength}`, String(defaultKeyBytes))
    .option('--server', "make the server's own key pair where there is none, and print its identity")
    .option(
      '--group <file>',
      'make the key pair of a group of servers where there is no such file, and print its identity',
    )
    .option('--state-directory <dir>', 'where the daemon has its state, for --server', defaultStateDirectory)
    .option('--out <file>', 'a new file for it, not readable by other users (default: print it)')
    .addHelpText('after', help)
    .action((flags: { bytes: string; out?: string; server?: boolean; group?: string; stateDirectory: string }) => {
      if (flags.server) {
        const other = flags.out === undefined ? flags.group && '--group' : '--out'
        if (other) throw usageError(`--server and ${other} exclude each other`)
        terminal.out(formatIdentity(ensureServerIdentity(flags.stateDirectory)))
        return
      }
      if (flags.group !== undefined) {
        if (flags.out !== undefined) throw usageError('--group and --out exclude each other')
        terminal.out(formatIdentity(groupIdentity(expandHome(flags.group))))
        terminal.hint('a captured knock for the group also opens its other servers, each of them once, within its skew')
        return
      }
      const bytes = parseCount('--bytes', flags.bytes, minKeyBytes, maxKeyLength)
      const key = `0x${randomBytes(bytes).toString('hex')}`
      if (flags.out === undefined) terminal.out(key)
      else {
        const readers = writeNew(expandHome(flags.out), `${key}\n`)
        terminal.out(`a new key of ${bytes} bytes is written, readable by ${readers}`)
      }
      if (bytes > longestOfKnockC)
        terminal.warn(`knock.c of ipt_pkd reads ${longestOfKnockC} bytes of hex at most, and cannot use this key`)
      for (const line of installHints(flags.out ?? '')) terminal.hint(line)
    })
}

/**
 * Where the key goes, in lines that can be copied. A file `NAME.key` is the client's, any other one the server's; the other
 * side gets a copy. `given` is empty for a key that is printed.
 */
function installHints(given: string): string[] {
  const { name, ext } = path.parse(given)
  const chosen = namePattern.test(name) ? name : undefined
  const isClient = ext === '.key'
  const [host, credential] = isClient ? [chosen ?? 'home', 'laptop'] : ['home', chosen ?? 'laptop']
  const file = given === '' ? undefined : path.resolve(expandHome(given))
  const serverFile = (isClient ? undefined : file) ?? `${configDirectory}/keys/${credential}`
  const clientFile = (isClient && file !== undefined ? inHome(file) : undefined) ?? `~/.config/pkctl/${host}.key`
  return [
    `server: the key in ${oneLine(serverFile)}, and below credentials in pkctl.yaml: ` +
      `${credential}: { type: pkd, tag: SSHK, key-file: ${yamlPath(fromConfig(serverFile))}, opens: [ssh] }`,
    `client: the key in ${oneLine(clientFile)}, and in ~/.config/pkctl/hosts.yaml: ` +
      `${host}: { host: SERVER, tag: SSHK, key-file: ${yamlPath(clientFile)}, connect: 22 }`,
    'use it for this server alone: a captured knock also opens the other servers that have its key',
  ]
}

const configDirectory = path.dirname(defaultConfig)

/** As a key-file in the configuration can be written: relative to its directory. */
const fromConfig = (file: string) =>
  file.startsWith(`${configDirectory}/`) ? path.relative(configDirectory, file) : file

/** With ~ for the home directory of the user. */
function inHome(file: string): string {
  const home = os.homedir()
  return file.startsWith(`${home}/`) ? `~${file.slice(home.length)}` : file
}

/** As a value in a flow mapping. */
const yamlPath = (file: string) => (/^[\w./~-]+$/.test(file) ? file : `'${oneLine(file).replaceAll("'", "''")}'`)

/** The identity of the key pair in the file, or else of a new one. */
function groupIdentity(file: string): Buffer {
  if (fs.existsSync(file)) return existingIdentity(file)
  const key = newServerKey(randomBytes)
  writeNew(file, serverKeyText(key))
  return key.identity
}

/** Tells who can read it. */
function writeNew(file: string, content: string): string {
  try {
    const isShared = makeNew(file, privateMode, (handle, directory) => {
      fs.writeSync(handle, content)
      return shareFile(handle, directory)
    })
    return isShared ? "its owner and its directory's group" : 'its owner alone'
  } catch (error) {
    throw explained(file, error as NodeJS.ErrnoException)
  }
}

function explained(file: string, { code, message }: NodeJS.ErrnoException): UserError {
  const directory = path.dirname(file)
  if (code === 'EEXIST')
    return new UserError(`${file} is there already`, 'a key is never overwritten: take another name')
  if (code === 'ENOENT') return new UserError(`there is no directory ${directory}`, `mkdir -p -m 700 ${directory}`)
  return new UserError(`${file} cannot be written: ${message}`)
}
