/** stdin and stdout as one end of a TCP connection, each direction ending for itself. */
import * as fs from 'node:fs'
import type * as net from 'node:net'
import { UserError } from '../util/index.js'

/**
 * Relays until both directions have ended. The end of stdin is passed on as FIN, and what the server still sends is
 * waited for; the server's FIN ends stdout, and what stdin still brings is sent on. Ends at once, and fails, with the
 * signal.
 */
export function relay(socket: net.Socket, name: string, signal?: AbortSignal): Promise<void> {
  const { stdin, stdout } = process
  return new Promise((resolve, reject) => {
    // Its callback is not called for a stream that has ended already, so it must be ended once.
    let outputEnded: Promise<void> | undefined
    const endOutput = () => {
      outputEnded ??= new Promise<void>(done => stdout.end(done)).then(closeStdout)
      return outputEnded
    }
    const stop = () => {
      // stdin would keep the process; what stdout has not taken yet is still written.
      stdin.destroy()
      socket.destroy()
    }
    const fail = (what: string, { message }: Error) => {
      stop()
      reject(new UserError(`${what}: ${message}`))
    }

    const onSignal = () => fail('the connection was ended', signal?.reason as Error)
    if (signal?.aborted) return onSignal()
    signal?.addEventListener('abort', onSignal, { once: true })
    // The reader of stdout has gone: not an error, and this process may have more to do.
    stdout.removeAllListeners('error').on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') return fail('stdout cannot be written', error)
      stop()
      resolve()
    })
    stdin.on('error', error => fail('stdin cannot be read', error))
    socket.on('end', () => void endOutput())
    socket.on('error', error => {
      // Who has closed need not take what is sent after that: the usual end of an ssh session that the server ends.
      if (outputEnded) stop()
      else fail(`the connection to ${name} was lost`, error)
    })
    socket.on('close', () => void endOutput().then(resolve, reject))
    stdin.pipe(socket)
    socket.pipe(stdout)
  })
}

/**
 * Node keeps the descriptor when its stream ends, so the reader of a pipe would go on waiting. Descriptor 1 is opened again,
 * so that no socket that is opened later becomes stdout.
 */
function closeStdout(): void {
  fs.closeSync(1)
  fs.openSync('/dev/null', 'w')
}
