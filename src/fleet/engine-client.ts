/** A connection to the engine of a fleet, which is made again when it is lost. */
import { createClient } from '@redis/client'

export interface EnginePlace {
  readonly host: string
  readonly port: number
  readonly tls: boolean
  readonly user: string | null
  readonly password: string | null
  /** Certificates in PEM, instead of those of the system. */
  readonly ca: string | null
}

/** A connection without a sign of life for this time is given up. */
const silenceMilliseconds = 10_000
const connectMilliseconds = 5000
const [shortestPause, longestPause] = [100, 5000]

/** A reconnection waits longer each time, and not all servers at once. */
const pauseAfter = (tries: number) =>
  Math.min(longestPause, shortestPause * 2 ** Math.min(tries, 10)) * (0.5 + Math.random() / 2)

/** Not connected yet. `onError` gets what ends a connection, or keeps it from being made. */
export function openClient(place: EnginePlace, onError: (error: Error) => void) {
  const client = createClient({
    // With 2, nothing but AUTH is sent first, for which a user needs no right.
    RESP: 2,
    disableClientInfo: true,
    disableOfflineQueue: true,
    commandsQueueMaxLength: 100_000,
    ...(place.user === null ? {} : { username: place.user }),
    ...(place.password === null ? {} : { password: place.password }),
    socket: {
      host: place.host,
      port: place.port,
      connectTimeout: connectMilliseconds,
      socketTimeout: silenceMilliseconds,
      reconnectStrategy: tries => pauseAfter(tries),
      ...(place.tls ? { tls: true, ...(place.ca === null ? {} : { ca: place.ca }) } : {}),
    },
  })
  client.on('error', onError)
  return client
}

/** One line, and never a password, which no message of the engine or of the system has. */
export function engineTrouble(error: NodeJS.ErrnoException): string {
  const text = error.message === '' && 'errors' in error ? String((error.errors as Error[])[0]?.message) : error.message
  return (text || String(error.code)).split(/[\r\n]/, 1)[0] ?? 'unknown'
}
