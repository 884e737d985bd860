/** Asks a server of util/socket/server.ts. */
import * as net from 'node:net'
import type { Answer } from './answer.js'
import { staysOpen } from './answer.js'

/**
 * Sends a request and resolves to its answer. Rejects with the system's error when no process serves the socket, and with
 * ETIMEDOUT when one does and does not answer.
 */
export function ask(
  socketPath: string,
  message: { readonly request: string },
  withinMilliseconds = 30_000,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let text = ''
    const connection = net.connect(socketPath)
    connection
      .setEncoding('utf8')
      .setTimeout(withinMilliseconds, () =>
        connection.destroy(Object.assign(new Error('no answer comes'), { code: 'ETIMEDOUT' })),
      )
    connection.on('error', reject)
    // The connection stays open: when it ends before the answer, the server knows that the asker has left.
    connection.on('connect', () => connection.write(`${JSON.stringify({ ...message, [staysOpen]: true })}\n`))
    connection.on('data', (chunk: string) => (text += chunk))
    connection.on('end', () => {
      connection.end()
      try {
        resolve(JSON.parse(text) as Answer)
      } catch {
        reject(new Error('the answer cannot be read'))
      }
    })
  })
}
