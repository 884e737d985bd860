/** Options of credentials that are knocked by one packet. */
import type * as z from 'zod'
import { parseIdentity } from '../../knock/index.js'
import { parsePort, parsePrefix, withoutContained } from '../../net/index.js'
import { shown, ValueError } from '../../util/index.js'
import type { ConfigPath } from '../config-path.js'
import { formatPath } from '../config-path.js'
import type { Context } from '../context.js'
import { duration, flag, listOf, oneOf, parsed, text, textOrNumber } from '../schema-parts.js'
import { parseWindow } from '../service-rules.js'
import { parseSkew } from '../values.js'
import { rate } from './common.js'

export const portOption = {
  port: parsed(textOrNumber('a port from 1 to 65535, or any'), readKnockPort)
    .prefault('any')
    .describe('The UDP port that the knock must be sent to, or any. Default: any'),
}

/** How often, and how far from its own time, a knock counts. */
export const limitOptions = {
  skew: duration(parseSkew)
    .prefault(10)
    .describe('How far the clocks may be apart, either way; seconds or a duration, -1 for any clock. Default: 10'),
  rate: rate
    .prefault('5/10s')
    .describe(
      'A share of knocks for each source, which fills again evenly over a time; none for no limit. Default: 5/10s',
    ),
}

/** For formats whose knocks several servers can accept. */
export const onceOption = {
  once: oneOf(['node', 'group'])
    .prefault('node')
    .describe(
      'Where a knock counts once: on each server (node) to which it is sent, or on one of the fleet alone (group). Default: node',
    ),
}

type OnceData = z.output<z.ZodObject<typeof onceOption & Pick<typeof limitOptions, 'skew'>>>

/** A knock that never becomes too old would have to be remembered by the engine without end. */
export function onceOf({ once, skew }: OnceData, at: ConfigPath, { merged, findings }: Context): { once?: 'group' } {
  if (once === 'node') return {}
  const place = [...at, 'once']
  if (skew < 0) findings.problem(merged.positionOf(place), `${formatPath(place)}has no meaning beside 'skew: -1'`)
  return { once }
}

/** For formats that carry an address. */
export const onBehalfOptions = {
  obo: flag()
    .prefault(false)
    .describe('Whether a knock may ask for another address than its own (on behalf of). Default: false'),
  'obo-prefixes': listOf(
    'addresses and prefixes',
    parsed(text('an address or a prefix such as 192.0.2.0/24'), parsePrefix),
  )
    .transform(withoutContained)
    .prefault([])
    .describe('The addresses and prefixes that may be asked for with obo; others are refused. Default: []'),
}

/** For formats that can ask for a time. */
export const maxWindowOption = {
  'max-window': duration(parseWindow)
    .optional()
    .describe('The longest time that a knock can ask for. If it asks for more, it gets this time. Default: the window'),
}

export function parseIdentityOption(value: string): Buffer {
  const identity = parseIdentity(value)
  if (identity) return identity
  throw new ValueError('expected an identity such as pk1:…', "'pkctl keygen --server' prints it")
}

function readKnockPort(value: string | number): number | null {
  if (value === 'any') return null
  try {
    return parsePort(value)
  } catch {
    throw new ValueError(`expected a port from 1 to 65535, or any, got ${shown(value)}`)
  }
}

type OnBehalfData = z.output<z.ZodObject<typeof onBehalfOptions>>

/** The prefixes in which an address may be asked for. */
export function onBehalfPrefixes(data: OnBehalfData, at: ConfigPath, context: Context): readonly string[] {
  checkOnBehalf(data, at, context)
  return data.obo ? data['obo-prefixes'] : []
}

function checkOnBehalf(data: OnBehalfData, at: ConfigPath, { merged, findings }: Context): void {
  const named = data['obo-prefixes'].length > 0
  if (data.obo && !named) {
    const hint = "name them with 'obo-prefixes'; 0.0.0.0/0 and ::/0 are all"
    findings.problem(
      merged.positionOf([...at, 'obo']),
      `${formatPath([...at, 'obo'])}no address may be asked for`,
      hint,
    )
  } else if (!data.obo && named) {
    const place = [...at, 'obo-prefixes']
    findings.warn(merged.positionOf(place), `${formatPath(place)}has no meaning without 'obo: true'`)
  }
}
