/** Options of credentials whose knocks are ports in an order. */
import * as z from 'zod'
import type { FlagRule } from '../../knock/index.js'
import { isSentByClients, parseFlags, synRule } from '../../knock/index.js'
import { parseAddress } from '../../net/index.js'
import type { ConfigPath } from '../config-path.js'
import { formatPath } from '../config-path.js'
import type { Context } from '../context.js'
import { duration, expected, listOf, parsed, text } from '../schema-parts.js'
import { parseWindow } from '../service-rules.js'
import { rate } from './common.js'

const address = parsed(text('an IPv4 or IPv6 address'), value => parseAddress(value).address)

/** What every credential has whose knocks are ports in an order. */
export const stepsOptions = {
  timeout: duration(parseWindow)
    .prefault(10)
    .describe('How long the whole sequence may take; seconds or a duration. Default: 10'),
  'tcp-flags': listOf('flags such as syn or "!ack"', z.string({ error: expected('a flag such as syn or "!ack"') }))
    .transform(readFlags)
    .prefault(['syn', '!ack'])
    .describe(
      'Which TCP packets are knocks: flags that must be set, or not with ! before them. Default: ["syn","!ack"]',
    ),
  target: z
    .union([address.transform(one => [one]), listOf('addresses', address)], {
      error: expected('an address, or a list of addresses'),
    })
    .prefault([])
    .describe(
      'The addresses that knocks must be sent to, one or a list. [] for any address of the machine. Default: []',
    ),
  rate: rate
    .prefault('none')
    .describe('A share of knocks for each source, such as 5/10s; none for no limit. Default: none'),
}

function readFlags(flags: string[], context: z.RefinementCtx): FlagRule {
  try {
    return parseFlags(flags)
  } catch (cause) {
    context.addIssue({ code: 'custom', message: (cause as Error).message })
    return z.NEVER
  }
}

type StepsData = z.output<z.ZodObject<typeof stepsOptions>>

/** What the options give, after a look at what they say to each other. `hasTcp`: whether a step may be TCP. */
export function stepsOf(data: StepsData, at: ConfigPath, context: Context, hasTcp = true) {
  if (hasTcp) checkFlags(data, at, context)
  return { timeout: data.timeout, flags: data['tcp-flags'], targets: data.target }
}

/** Flags that no knock has, or that packets of running connections have, too. */
function checkFlags(data: StepsData, at: ConfigPath, { merged, findings }: Context): void {
  const { mask, value } = data['tcp-flags']
  const place = [...at, 'tcp-flags']
  if (!isSentByClients(data['tcp-flags'])) {
    const message =
      'no client sends them: knock and pkctl knock start a connection, with syn alone; take syn and "!ack"'
    findings.warn(merged.positionOf(place), `${formatPath(place)}${message}`)
  }
  if ((mask & value & synRule.value) !== 0) return
  const message = 'packets of open connections can also have these flags: each of them is checked, and may count'
  findings.warn(merged.positionOf(place), `${formatPath(place)}${message}`)
}
