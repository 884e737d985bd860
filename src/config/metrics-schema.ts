/** What the daemon tells Prometheus, and where. */
import { parseAddress, parsePort } from '../net/index.js'
import { parseDuration, shown, unexpected, ValueError } from '../util/index.js'
import { duration, mapping, parsed, text } from './schema-parts.js'
import type { MetricsPlace } from './types.js'
import { parseAbsolutePath, parseSocketPath } from './values.js'

const shortestSeconds = 1
const longestSeconds = 3600

export const metrics = mapping({
  listen: parsed(text('the path of a socket, or an address and a port'), parsePlace)
    .nullable()
    .prefault(null)
    .describe(
      'Where metrics are served, at /metrics: the absolute path of a Unix socket, or an address and a TCP port such as ' +
        '127.0.0.1:9754 or [::1]:9754; null means nowhere. Default: null',
    ),
  textfile: parsed(text('an absolute path'), parseTextfile)
    .nullable()
    .prefault(null)
    .describe(
      'A file NAME.prom for the textfile collector of node_exporter; null means none. The daemon removes it when it ' +
        'stops. Default: null',
    ),
  interval: duration(parseInterval).prefault(15).describe('How often the file is written, from 1s to 1h. Default: 15'),
})

/** `/run/pkctl/metrics.sock`, `127.0.0.1:9754` or `[::1]:9754`. */
function parsePlace(value: string): MetricsPlace {
  if (value.startsWith('/')) return { path: parseSocketPath(value) }
  const [, six, host = six, port = ''] = /^(?:\[([^\]]*:[^\]]*)\]|([\d.]+)):(\d+)$/.exec(value) ?? []
  if (host === undefined) throw unexpected('an absolute path, or an address and a port such as 127.0.0.1:9754', value)
  return { host: parseAddress(host).address, port: parsePort(port) }
}

/** node_exporter reads no other files. */
function parseTextfile(value: string): string {
  if (!value.endsWith('.prom')) throw new ValueError(`expected a path that ends with .prom, got ${shown(value)}`)
  return parseAbsolutePath(value)
}

function parseInterval(value: string | number): number {
  const seconds = parseDuration(value)
  if (seconds < shortestSeconds || seconds > longestSeconds) throw unexpected('a time from 1s to 1h', value)
  return seconds
}
