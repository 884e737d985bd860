/** The options of a service in YAML: what each means, what it may hold, its default. */
import * as z from 'zod'
import type { PortRange } from '../net/index.js'
import { mergePorts, parsePorts, parsePrefix, withoutContained } from '../net/index.js'
import { hooks, protocols } from '../nft/index.js'
import { shown, ValueError } from '../util/index.js'
import {
  duration,
  expected,
  flag,
  interfaceNames,
  listOf,
  mapping,
  oneOf,
  parsed,
  text,
  textOrNumber,
  whole,
} from './schema-parts.js'
import { isLogPrefix, rejections, serviceBounds, serviceDefaults } from './service-rules.js'
import { parseWindow } from './service-rules.js'
import { kernelLogLevels, parsePacketRate } from './values.js'

export const serviceLogSchema = mapping({
  prefix: parsed(text('text'), checkLogPrefix)
    .optional()
    .describe("What messages start with, at most 63 printable ASCII characters without \" and \\. Default: 'pk-NAME '"),
  level: oneOf(kernelLogLevels).prefault(serviceDefaults.logLevel).describe('The level of the messages. Default: info'),
  limit: parsed(text('a rate such as 5/minute, or none'), parsePacketRate)
    .prefault(serviceDefaults.logLimit)
    .describe(
      'The maximum rate of messages: a number per second, minute, hour, day or week, or none. Default: 5/minute',
    ),
  burst: whole('a number', ...serviceBounds.logBurst)
    .prefault(serviceDefaults.logBurst)
    .describe('How many messages can come at once before the limit applies. Default: 5'),
})

function checkLogPrefix(value: string): string {
  if (!isLogPrefix(value)) {
    throw new ValueError(`expected at most 63 printable ASCII characters without " and \\, got ${shown(value)}`)
  }
  return value
}

const portOrRange = parsed(textOrNumber('a port from 1 to 65535'), parsePorts)
const portList = listOf('ports', portOrRange).min(1, { error: () => 'expected at least one port' })
const prefixLength = (min: number, max: number) => whole('a prefix length', min, max).prefault(max)

export const serviceSchema = mapping({
  port: z
    .union([portOrRange, portList], { error: expected('a port, a range such as 6000-6010, or a list of these') })
    .transform((ports): PortRange[] => mergePorts(ports.flat()))
    .describe('The ports that are kept closed: one, a range such as 6000-6010, or a list of these.'),
  except: z
    .union([portOrRange, listOf('ports', portOrRange)], {
      error: expected('a port, a range such as 6000-6010, or a list of these'),
    })
    .transform((ports): PortRange[] => mergePorts(ports.flat()))
    .prefault([])
    .describe('Ports of a range that stay open: one, a range, or a list of these. Default: []'),
  protocol: oneOf(protocols)
    .prefault(serviceDefaults.protocol)
    .describe('The transport protocol, or any for all of them. Default: tcp'),
  syn: flag()
    .optional()
    .describe('Filter only packets that start a TCP connection. Default: true for tcp; others cannot have it'),
  reject: oneOf(rejections)
    .optional()
    .describe('The answer to sources without a grant: none, a TCP reset, or an ICMP message. Default: drop'),
  accept: flag().prefault(false).describe('Accept every packet and only watch; excludes reject. Default: false'),
  window: duration(parseWindow)
    .prefault(serviceDefaults.window)
    .describe('How long a grant lasts if the credential has no window; seconds, or 10m, 8h, 2d. Default: 60'),
  'fail-open': flag().prefault(false).describe('Accept every packet while the daemon does not run. Default: false'),
  'single-use': flag().prefault(false).describe('The first connection uses up the grant. Default: false'),
  allow: listOf('addresses and prefixes', parsed(text('an address or a prefix such as 192.0.2.0/24'), parsePrefix))
    .transform(withoutContained)
    .prefault([])
    .describe('Addresses and prefixes that always have access. Default: []'),
  prefix4: prefixLength(...serviceBounds.prefix4).describe(
    'How many leading bits of an IPv4 source are granted together. Default: 32',
  ),
  prefix6: prefixLength(...serviceBounds.prefix6).describe(
    'How many leading bits of an IPv6 source are granted together. Default: 128',
  ),
  hook: oneOf(hooks)
    .prefault(serviceDefaults.hook)
    .describe('Where the port is filtered; prerouting is before DNAT, for ports of containers. Default: input'),
  interface: interfaceNames().describe(
    'The interfaces on which the service filters packets, one or a list, such as eth0 or ppp*. On all others, the port ' +
      'is open. [] for all interfaces. Default: []',
  ),
  log: z
    .union([flag(), serviceLogSchema], { error: expected('true, false or a mapping') })
    .prefault(false)
    .describe('Have the kernel log refused packets; true, or how. Default: false'),
})
