import * as fs from 'node:fs'
import * as path from 'node:path'
import { Command } from 'commander'
import { expandHome } from '../../client/user-files.js'
import type { ImportResult } from '../../import/draft.js'
import { Names } from '../../import/draft.js'
import { importIptPkdHosts } from '../../import/ipt-pkd-client.js'
import { importIptPkd } from '../../import/ipt-pkd-rules.js'
import { importKnockdHelper } from '../../import/knockd-helper.js'
import { importKnockd } from '../../import/knockd.js'
import { importNfPkd } from '../../import/nf-pkd.js'
import { importNfqknockd } from '../../import/nfqknockd.js'
import type { Printed, SecretPath } from '../../import/print-yaml.js'
import { printConfig, printPlaces } from '../../import/print-yaml.js'
import type { TemporaryFile } from '../../util/atomic-file.js'
import { writeTemporary } from '../../util/atomic-file.js'
import { decodeText, reasonOf } from '../../util/file-text.js'
import { nearest } from '../../util/nearest.js'
import { privateMode, shareFile } from '../../util/secret-file.js'
import type { Terminal } from '../../util/terminal.js'
import { oneLine } from '../../util/text.js'
import { usageError, UserError } from '../../util/user-error.js'

interface ImportFlags {
  readonly output?: string
  readonly keys?: string
  readonly force?: boolean
}

const help = `
Systems:
  knockd FILE          /etc/knockd.conf
  nf-pkd DIR           action files, *.json in it and in the directories below
  nfqknockd -- ARGS    the arguments that it is started with
  knockd-helper FILE   a script with pktables init
  ipt_pkd FILE         what iptables-save prints
  ipt_pkd.ini FILE     places of its client, as a hosts.yaml
FILE can be - for stdin. What cannot be carried over is a comment in the YAML, and a warning on stderr where it matters.

Examples:
  pkctl import knockd /etc/knockd.conf
  pkctl import nf-pkd /etc/nf-pkd/actions.d --keys /etc/pkctl/keys --output /etc/pkctl/pkctl.yaml
  iptables-save | pkctl import ipt_pkd -`

export function importCommand(terminal: Terminal): Command {
  return new Command('import')
    .description('print the configuration of another system as one of pkctl')
    .argument('<system>', 'knockd, nf-pkd, nfqknockd, knockd-helper, ipt_pkd or ipt_pkd.ini')
    .argument('[source...]', 'file, directory, or arguments')
    .option('--output <file>', 'a new file for it, shut to others (default: print it)')
    .option('--keys <dir>', 'write each key into a file in this directory, shut to others, instead of the YAML')
    .option('--force', 'overwrite files that are there')
    .addHelpText('after', help)
    .action((system: string, source: string[], flags: ImportFlags) => {
      const { yaml, warnings, files } = importFrom(system, source, flags)
      const target = flags.output === undefined ? [] : [{ path: expandHome(flags.output), content: yaml }]
      writeAll([...files, ...target], flags.force ?? false)
      for (const warning of warnings) terminal.warn(warning)
      if (flags.output === undefined) terminal.out(yaml.trimEnd())
      else terminal.out(`${oneLine(flags.output)} is written`)
    })
}

const passes = 'Other firewalls still apply: where one drops a port, let it pass there, and leave closing it to pkctl.'
const stop = (program: string) => `Stop ${program} before pkctld starts.`

/** Where what came from, and what is left to do. */
const headings: Readonly<Record<string, (source: string) => string>> = {
  knockd: source => `From knockd, ${source}. ${stop('knockd')} ${passes}`,
  'nf-pkd': source =>
    `From nf-pkd, ${source}. ${stop('nf-pkd')} There, a knock was good for one connection whenever it came; here, for as ` +
    `many as come within the window. With 'single-use: true', a service lets one in. ${passes}`,
  nfqknockd: () => `From the arguments of nfqknockd. ${stop('nfqknockd')} ${passes}`,
  'knockd-helper': source =>
    `From the pktables services in ${source}. Services made by pktables init are in the kernel already; these are for ` +
    `pkctld, which takes them over. ${passes}`,
  ipt_pkd: source =>
    `From rules with ipt_pkd, ${source}. Take those rules out of iptables before pkctld starts: its knocks never get to ` +
    `pkctld otherwise. ${passes}`,
}

const placesHeading = (source: string) => `From ${source}, for ~/.config/pkctl/hosts.yaml.`

type Importer = (source: readonly string[]) => { plan: ImportResult; from: string }

const importers: Readonly<Record<string, Importer>> = {
  knockd: fromFile('knockd', text => importKnockd(text, { readFile: readNamed })),
  'nf-pkd': source => {
    const directory = onlyOne(source, 'nf-pkd DIR')
    return { plan: importNfPkd(readActions(directory)), from: directory }
  },
  nfqknockd: source => ({ plan: importNfqknockd(source), from: '' }),
  'knockd-helper': fromFile('knockd-helper', importKnockdHelper),
  ipt_pkd: fromFile('ipt_pkd', importIptPkd),
}

function fromFile(system: string, read: (text: string) => ImportResult): Importer {
  return source => {
    const file = onlyOne(source, `${system} FILE`)
    return { plan: read(readText(file)), from: nameOf(file) }
  }
}

function importFrom(system: string, source: readonly string[], { keys }: ImportFlags): Printed {
  const secretPath = secretPaths(keys)
  if (system === 'ipt_pkd.ini') {
    const file = onlyOne(source, 'ipt_pkd.ini FILE')
    const { places, notes } = importIptPkdHosts(readText(file), nameOf(file))
    return printPlaces(places, notes, placesHeading(nameOf(file)), secretPath)
  }
  const importer = Object.hasOwn(importers, system) ? importers[system] : undefined
  const heading = headings[system]
  if (!importer || !heading) {
    const systems = [...Object.keys(importers), 'ipt_pkd.ini']
    const meant = nearest(system, systems)
    const hint = meant === undefined ? `there are ${systems.join(', ')}` : `did you mean '${meant}'?`
    throw usageError(`'${oneLine(system)}' is no system that can be imported`, hint)
  }
  const { plan, from } = importer(source)
  return printConfig(plan, heading(oneLine(from)), secretPath)
}

function onlyOne(source: readonly string[], form: string): string {
  const [only, ...more] = source
  if (only === undefined || more.length > 0) throw usageError(`expected: pkctl import ${form}`)
  return only
}

function secretPaths(directory: string | undefined): SecretPath {
  const names = new Names()
  return (entry, option) => {
    if (directory === undefined) return undefined
    const purpose = { 'open-secret': '-open', 'close-secret': '-close' }[option] ?? ''
    return path.resolve(expandHome(directory), names.make(`${entry}${purpose}`, 'key'))
  }
}

// ---- reading

const maxBytes = 1024 * 1024
const nameOf = (file: string) => (file === '-' ? 'stdin' : file)

function readText(file: string): string {
  const about = oneLine(nameOf(file))
  let bytes: Buffer
  try {
    bytes = readBytes(file)
  } catch (error) {
    if (error instanceof UserError) throw error
    throw new UserError(`${about} cannot be read: ${reasonOf(error)}`)
  }
  const text = decodeText(bytes)
  if (text === undefined) throw new UserError(`${about} is not UTF-8 text`, 'iconv -f LATIN1 -t UTF-8 makes it so')
  if (text.includes('\0')) throw new UserError(`${about} is not text`)
  return text
}

/** A file that an input names: it shall neither keep us waiting nor come to no end. */
function readNamed(file: string): Buffer {
  if (!fs.statSync(file).isFile()) throw new Error('it is no regular file')
  return readBytes(file)
}

/** At most so much as can be meant, also of what never ends. */
function readBytes(file: string): Buffer {
  const handle = file === '-' ? 0 : fs.openSync(expandHome(file), 'r')
  try {
    const buffer = Buffer.alloc(maxBytes + 1)
    let length = 0
    for (;;) {
      const count = readSome(handle, buffer, length)
      length += count
      if (count === 0) return buffer.subarray(0, length)
      if (length > maxBytes) throw new UserError(`${oneLine(nameOf(file))} is larger than 1 MiB`)
    }
  } finally {
    if (handle !== 0) fs.closeSync(handle)
  }
}

function readSome(handle: number, buffer: Buffer, at: number): number {
  for (;;) {
    try {
      return fs.readSync(handle, buffer, at, buffer.length - at, null)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EOF') return 0
      // A terminal that somebody made non-blocking.
      if (code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
    }
  }
}

const maxActionFiles = 1000
const maxActionBytes = 8 * 1024 * 1024
const maxDepth = 20

function readActions(directory: string): { file: string; text: string }[] {
  const files = findActions(directory, 0)
  if (files.length === 0) throw new UserError(`no file in ${oneLine(directory)} ends with .json`)
  if (files.length > maxActionFiles)
    throw new UserError(`more than ${maxActionFiles} files in ${oneLine(directory)} end with .json`)
  let bytes = 0
  return files.map(file => {
    const text = readText(file)
    bytes += text.length
    if (bytes > maxActionBytes) throw new UserError(`the files in ${oneLine(directory)} are larger than 8 MiB together`)
    return { file, text }
  })
}

function findActions(directory: string, depth: number): string[] {
  if (depth > maxDepth) throw new UserError(`${oneLine(directory)} is more than ${maxDepth} deep`)
  let entries: fs.Dirent[]
  try {
    entries = fs.readdirSync(expandHome(directory), { withFileTypes: true })
  } catch (error) {
    throw new UserError(`${oneLine(directory)} cannot be read: ${reasonOf(error)}`)
  }
  return entries
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap(entry => {
      const file = path.join(directory, entry.name)
      if (entry.isDirectory()) return findActions(file, depth + 1)
      return entry.name.endsWith('.json') && canBeRead(expandHome(file)) ? [file] : []
    })
}

/** Nobody waits for a pipe or a device here. What cannot be looked at is an error when it is read. */
function canBeRead(file: string): boolean {
  try {
    return fs.statSync(file).isFile()
  } catch {
    return true
  }
}

// ---- writing

interface NewFile {
  readonly path: string
  readonly content: string
}

/** All of them or none, as far as can be known before. */
function writeAll(files: readonly NewFile[], force: boolean): void {
  const temporary = files.map(file => ({ ...file, at: `${file.path}.new-${process.pid}` }))
  const written: TemporaryFile[] = []
  try {
    for (const { path: file, content, at } of temporary) {
      const there = fs.lstatSync(file, { throwIfNoEntry: false })
      if (there && !force) throw Object.assign(new Error(), { code: 'EEXIST', path: file })
      // A file in place of /dev/null would harm others.
      if (there && !there.isFile() && !there.isSymbolicLink())
        throw Object.assign(new Error('it is no regular file'), { path: file })
      // What a link leads to is not replaced, and says nothing.
      const replaced = there?.isFile() ? there : undefined
      const prepare = (descriptor: number) => void shareFile(descriptor, at, replaced)
      written.push(writeTemporary(file, content, { mode: privateMode, sync: true, temporary: at, prepare }))
    }
    for (const next of written) {
      if (force) next.replace()
      else next.create()
    }
  } catch (error) {
    throw explained(error as NodeJS.ErrnoException & { dest?: string }, temporary)
  } finally {
    for (const next of written) {
      fs.closeSync(next.descriptor)
      next.discard()
    }
  }
}

function explained(
  error: NodeJS.ErrnoException & { dest?: string },
  files: readonly (NewFile & { at: string })[],
): UserError {
  const named = error.dest ?? error.path ?? ''
  const file = oneLine(files.find(({ at }) => at === named)?.path ?? named)
  if (error.code === 'EEXIST')
    return new UserError(`${file} is there already`, 'take another name, or add --force to overwrite it')
  const directory = path.dirname(file)
  if (error.code === 'ENOENT')
    return new UserError(`there is no directory ${directory}`, `mkdir -p -m 700 ${directory}`)
  return new UserError(`${file} cannot be written: ${reasonOf(error)}`)
}
