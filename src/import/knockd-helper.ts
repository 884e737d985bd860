/** A script that makes the services of pktables: a service for each `pktables init`. */
import * as path from 'node:path'
import { isLogPrefix, serviceBounds } from '../config/service-rules.js'
import { namePattern } from '../config/values.js'
import { parseAddress, parsePrefix, withoutContained } from '../net/index.js'
import { UserError } from '../util/index.js'
import type { ImportResult } from './draft-entries.js'
import { Draft } from './draft.js'
import { levelOf, rateOf } from './iptables-log.js'
import type { Note } from './notes.js'
import { caution, shorten } from './notes.js'
import { readIptablesPorts } from './service-ports.js'
import type { ShellCommand } from './shell-words.js'
import { readShell } from './shell-words.js'

interface Init {
  readonly name: string
  readonly flags: ReadonlyMap<string, string>
}

const flagsWithValue = ['--port', '--log-prefix', '--log-level', '--log-limit', '--log-burst']
const flagsAlone = ['--udp', '--syn', '--accept', '--log', '--debug']

export function importKnockdHelper(text: string): ImportResult {
  const draft = new Draft()
  const { commands } = readShell(text)
  const added = addedIn(commands)
  const made = new Set<string>()
  for (const command of commands.filter(isAboutPktables)) {
    const { words, literal, line } = command
    const verb = words[1] ?? ''
    const at = `line ${line}`
    const address = literal ? readAdd(words.slice(2)) : undefined
    if (words.includes('init')) addService(command, added, made, draft)
    else if (words.includes('add') && !(address && isProgram(command))) {
      const why = literal && !isProgram(command) ? onlyProgram : 'an address that is not plain'
      draft.caution(`left out: ${at}: ${why}: ${shorten(words.join(' '))}`)
    } else if (verb === 'delete' && address && added.get(address.service)?.includes(address.prefix)) {
      const what = address.prefix.replace(/\/.*/, '')
      draft.caution(`${at}: ${what} is removed again there; here it has access as long as it is in allow`)
    } else if (!['add', 'delete', 'remove', 'list', 'help'].includes(verb)) {
      draft.caution(`left out: ${at}: this cannot be converted: ${shorten(command.words.join(' '))}`)
    }
  }
  for (const service of added.keys()) {
    if (!made.has(service))
      draft.caution(`left out: the addresses for ${shorten(service)}: there is no such service here`)
  }
  if (added.size > 0 && commands.some(({ words: [first = ''] }) => conditions.includes(first)))
    draft.caution(
      'conditions of the script are not checked: check that the addresses in allow are always to have access',
    )
  return draft.finish()
}

const conditions = ['if', 'elif', 'while', 'until', 'for', '[', '[[', 'test']
const onlyProgram = 'only the program itself can be read'
const isProgram = ({ words }: Pick<ShellCommand, 'words'>) => path.basename(words[0] ?? '') === 'pktables'

/** Also where its name is in a variable, or another word is in front of it. */
function isAboutPktables({ words }: ShellCommand): boolean {
  const [program = '', verb = ''] = words
  if (program.includes('=') || /^(echo|printf|logger|test|\[)$/.test(program)) return false
  if (isProgram({ words })) return true
  return (
    (['init', 'add'].includes(verb) && program.startsWith('$')) ||
    (words.some(word => /(^|\/)pktables$/i.test(word)) && ['init', 'add'].some(one => words.includes(one)))
  )
}

function addService(
  command: ShellCommand,
  added: ReadonlyMap<string, string[]>,
  made: Set<string>,
  draft: Draft,
): void {
  const notes: Note[] = []
  const leave = (why: string) =>
    draft.caution(`left out: line ${command.line}: ${why}: ${shorten(command.words.join(' '))}`)
  if (!isProgram(command)) return leave(onlyProgram)
  if (!command.literal) return leave('only plain words can be read, and nothing that the shell replaces')
  const init = readInit(command.words.slice(2))
  if (typeof init === 'string') return leave(init)
  const { name, flags } = init
  if (!namePattern.test(name)) return leave('pkctl does not take this name')
  const protocol = flags.has('--udp') ? 'udp' : 'tcp'
  const ports = readIptablesPorts(flags.get('--port') ?? '', protocol)
  if (!ports) return leave('its port is not known here')
  if (protocol === 'udp' && flags.has('--syn')) return leave('--udp and --syn exclude each other')
  const log = logOf(flags)
  if (typeof log === 'string') return leave(log)
  const allow = added.get(name) ?? []
  const judgesAll = protocol === 'tcp' && !flags.has('--syn')
  if (judgesAll) {
    notes.push(
      caution(
        'every packet is filtered: connections of addresses without a grant end as soon as pkctld starts; --syn was not given',
      ),
    )
  }
  const taken = draft.service(
    name,
    protocol,
    ports,
    {
      ...(protocol === 'udp' ? { protocol } : {}),
      ...(judgesAll ? { syn: false } : {}),
      ...(flags.has('--accept') ? { accept: true } : {}),
      ...(allow.length > 0 ? { allow } : {}),
      ...(log ? { log } : {}),
    },
    notes,
  )
  if (taken === undefined) made.add(name)
  else leave(taken === name ? 'a service of this name is there already' : `a port of it belongs to ${taken} already`)
}

/** Names and options in any order; or what is wrong. */
function readInit(words: readonly string[]): Init | string {
  if (words.length > 50) return 'it has too many words'
  const names: string[] = []
  const flags = new Map<string, string>()
  const left = words.flatMap(word => {
    const [, option, value] = /^(--[a-z-]+)=(.*)$/s.exec(word) ?? []
    return option !== undefined && value !== undefined ? [option, value] : [word]
  })
  for (let word = left.shift(); word !== undefined; word = left.shift()) {
    if (!word.startsWith('-')) names.push(word)
    else if (flagsAlone.includes(word)) flags.set(word, '')
    else if (flagsWithValue.includes(word)) {
      const value = left.shift()
      if (value === undefined) return `${word} has no value`
      flags.set(word, value)
    } else return `${shorten(word)} is not known here`
  }
  const [name, ...more] = names
  if (name === undefined || more.length > 0) return 'it has not one name'
  return flags.has('--port') ? { name, flags } : 'it has no --port'
}

function logOf(flags: Init['flags']): object | string | undefined {
  if (!flags.has('--log')) return undefined
  const prefix = flags.get('--log-prefix') ?? ''
  const [least, most] = serviceBounds.logBurst
  const burst = Number(flags.get('--log-burst') ?? 5)
  if (!isLogPrefix(prefix)) return 'its --log-prefix cannot be used'
  if (!Number.isInteger(burst) || burst < least || burst > most) return 'its --log-burst cannot be used'
  try {
    const limit = flags.get('--log-limit')
    const rate = limit === undefined ? 'none' : rateOf(limit)
    if (/^0|^\d{7}/.test(rate)) return 'its --log-limit cannot be used'
    return {
      prefix,
      level: levelOf(flags.get('--log-level') ?? 'warning'),
      limit: rate,
      ...(limit === undefined ? {} : { burst }),
    }
  } catch (error) {
    if (error instanceof UserError) return error.message
    throw error
  }
}

/** The addresses that the script adds and does not delete, by service. */
function addedIn(commands: readonly ShellCommand[]): Map<string, string[]> {
  const added = new Map<string, string[]>()
  for (const { words, literal } of commands) {
    const found = literal && isProgram({ words }) && words[1] === 'add' ? readAdd(words.slice(2)) : undefined
    if (!found) continue
    const prefixes = added.get(found.service) ?? []
    added.set(found.service, prefixes)
    prefixes.push(found.prefix)
  }
  return new Map([...added].map(([service, prefixes]) => [service, withoutContained(prefixes)]))
}

function readAdd(words: readonly string[]): { service: string; prefix: string } | undefined {
  const at = words.indexOf('--service')
  const service = words[at + 1]
  const [address = '', ...more] = words.filter((_, i) => at < 0 || (i !== at && i !== at + 1))
  if (at < 0 || service === undefined || more.length > 0) return undefined
  try {
    return { service, prefix: parsePrefix(parseAddress(address.replace(/\/.*/s, '')).address) }
  } catch {
    return undefined
  }
}
