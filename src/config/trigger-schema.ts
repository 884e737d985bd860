/** The options of a trigger: a command that is run on a knock, on closing or on expiry. */
import * as z from 'zod'
import { parseDuration, shown, ValueError } from '../util/index.js'
import type { TriggerCommand, Trigger } from './credentials/any-credential.js'
import { duration, expected, listOf, mapping, parsed, text } from './schema-parts.js'

const words = listOf('words', parsed(text('text'), checkWord)).transform(checkProgram)
const line = parsed(text('a line for /bin/sh'), checkWord)

// A word with a zero byte in it would end there for the program that gets it.
function checkWord(value: string): string {
  if (value.includes('\0')) throw new ValueError('expected text without zero bytes')
  return value
}

// Found by its path alone: what is first in a PATH can change.
function checkProgram(value: string[], context: z.RefinementCtx): string[] {
  const [program] = value
  if (program === undefined || program.startsWith('/')) return value
  context.addIssue({
    code: 'custom',
    message: `expected the absolute path of a program first, got ${shown(program)}`,
    params: { hint: "a line for a shell goes into 'shell'" },
  })
  return z.NEVER
}

const owner = (what: string) => parsed(z.union([z.string(), z.number()], { error: expected(what) }), checkOwner(what))
const checkOwner = (what: string) => (value: string | number) => {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$/.test(String(value))) {
    throw new ValueError(`expected ${what}, got ${shown(value)}`)
  }
  return String(value)
}

const maxTimeoutSeconds = 86_400

export const triggerSchema = mapping({
  command: words
    .optional()
    .describe(
      'A program by its absolute path, and its arguments; {ip}, {family}, {port}, {service}, {credential} and {expires} ' +
        'are replaced, and so is %IP%. An empty list does nothing.',
    ),
  command6: words.optional().describe('The same for knocks over IPv6. Default: command'),
  shell: line
    .optional()
    .describe('A line for /bin/sh instead of command, with the same replacements. Empty text does nothing.'),
  shell6: line.optional().describe('The same for knocks over IPv6. Default: shell'),
  user: owner('the name of a user').optional().describe('Who runs it. Default: the user of the daemon'),
  group: owner('the name of a group').optional().describe('With which group. Default: that of the user'),
  timeout: duration(readTimeout).prefault(30).describe('After which time it is ended. Default: 30'),
})

function readTimeout(value: string | number): number {
  const seconds = parseDuration(value)
  if (seconds >= 1 && seconds <= maxTimeoutSeconds) return seconds
  throw new ValueError(`expected a time from 1s to 1d, got ${shown(value)}`)
}

/** What is replaced in a command by what belongs to the knock. */
export const placeholders = ['ip', 'family', 'port', 'service', 'credential', 'expires'] as const

export function triggerOf(data: z.output<typeof triggerSchema>): Trigger {
  const command = commandOf(data.command, data.shell)
  const own = data.command6 !== undefined || data.shell6 !== undefined
  return {
    command,
    command6: own ? commandOf(data.command6, data.shell6) : command,
    user: data.user ?? null,
    group: data.group ?? null,
    timeout: data.timeout,
  }
}

export function commandOf(argv: readonly string[] | undefined, shell: string | undefined): TriggerCommand | null {
  if (shell !== undefined) return shell.trim() === '' ? null : { shell }
  return argv === undefined || argv.length === 0 ? null : { argv }
}
