/** Where the daemon reports events, and how. */
import * as z from 'zod'
import { parseDuration, unexpected, ValueError } from '../util/index.js'
import { duration, expectedSecret, listOf, mapping, oneOf, parsed } from './schema-parts.js'
import { commandOf, triggerSchema } from './trigger-schema.js'
import type { NotifyTarget } from './types.js'
import { notifyEvents } from './types.js'

const longestTimeoutSeconds = 300
const longestEverySeconds = 86_400
const { command, shell, user, group } = triggerSchema.shape

/** The option that can have a secret. */
export const secretNotifyOption = 'webhook'

export const notifySchema = mapping({
  webhook: parsed(z.string({ error: expectedSecret('a URL') }), parseWebhook)
    .optional()
    .describe('A URL that gets a JSON object by POST, https or http. It may be a secret: no message shows it.'),
  command: command.describe('A program by its absolute path, and its arguments; {event} and {message} are replaced.'),
  shell: shell.describe('A line for /bin/sh instead of command; $PKCTL_EVENT and $PKCTL_MESSAGE have the facts.'),
  user,
  group,
  events: listOf('events', oneOf(notifyEvents))
    .prefault([...notifyEvents])
    .describe(`Of which events. Default: ${JSON.stringify(notifyEvents)}`),
  every: duration(readEvery)
    .prefault(600)
    .describe('One notification of each event in this time; the last of those in between follows. Default: 600'),
  timeout: duration(readTimeout).prefault(30).describe('After which time the command or request is ended. Default: 30'),
})

/** No message quotes it: what is in its path is often a secret. */
function parseWebhook(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (!url || !['http:', 'https:'].includes(url.protocol))
    throw new ValueError('expected a URL that starts with https:// or http:// (not shown: it can be a secret)')
  if (url.username !== '' || url.password !== '')
    throw new ValueError('expected a URL without a user or a password (not shown: it can be a secret)')
  return url.href
}

function readTimeout(value: string | number): number {
  const seconds = parseDuration(value)
  if (seconds < 1 || seconds > longestTimeoutSeconds) throw unexpected('a time from 1s to 5m', value)
  return seconds
}

function readEvery(value: string | number): number {
  const seconds = parseDuration(value)
  if (seconds < 1 || seconds > longestEverySeconds) throw unexpected('a time from 1s to 1d', value)
  return seconds
}

/** Throws a ValueError where it is not exactly one of a webhook and a command. */
export function notifyTarget(name: string, data: z.output<typeof notifySchema>): NotifyTarget {
  const { webhook, events, every, timeout } = data
  const run = commandOf(data.command, data.shell)
  const base = { name, events, everySeconds: every, timeoutSeconds: timeout }
  const hasCommand = data.command !== undefined || data.shell !== undefined
  if (hasCommand && data.command !== undefined && data.shell !== undefined)
    throw new ValueError('expected command or shell, and not both')
  if (webhook !== undefined && !hasCommand) {
    if (data.user !== undefined || data.group !== undefined)
      throw new ValueError("'user' and 'group' are for a command")
    return { ...base, webhook }
  }
  if (webhook === undefined && run) return { ...base, run, user: data.user ?? null, group: data.group ?? null }
  throw new ValueError('expected one of webhook, command and shell')
}
