/** Where metrics must not go, and where they should not. */
import { formatPath } from './config-path.js'
import type { Context } from './context.js'
import type { Config } from './types.js'

const place = ['metrics', 'listen']

export function checkMetrics({ metrics, socket }: Pick<Config, 'metrics' | 'socket'>, context: Context): void {
  const { merged, findings } = context
  const { listen } = metrics
  if (listen === null) return
  const at = merged.positionOf(place)
  if ('path' in listen) {
    if ([socket.path, `${socket.path}.group`].includes(listen.path))
      findings.problem(at, `${formatPath(place)}${listen.path} is the socket of 'socket'`, 'give it another name')
    return
  }
  if (isLoopback(listen.host)) return
  const who = 'everyone who reaches the port reads the names of services and credentials'
  findings.warn(at, `${formatPath(place)}${listen.host} is not a loopback address, and ${who}`)
}

const isLoopback = (host: string) => host === '::1' || host.startsWith('127.')
