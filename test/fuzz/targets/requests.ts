/** What comes over the control socket. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as net from 'node:net'
import * as os from 'node:os'
import * as path from 'node:path'
import { isOpenTo, readRequest } from '../../../src/daemon/requests.js'
import type { Answer } from '../../../src/util/socket/answer.js'
import { listen } from '../../../src/util/socket/server.js'
import { ValueError } from '../../../src/util/value-error.js'
import { isClear, orRefused } from '../properties.js'
import type { Target } from '../target.js'

const seeds = [
  '{"request":"status"}',
  '{"request":"list"}\n',
  '{"request":"add","service":"ssh","address":"192.0.2.1","seconds":60}',
  '{"request":"add","service":"ssh","address":"2001:db8::1","seconds":null}',
  '{"request":"delete","service":"ssh","address":"192.0.2.1"}',
  '{"request":"add","service":"ssh","address":"192.0.2.1","seconds":60,"fleet":true}',
  '[]',
  'null',
]
const words = ['"request":', '"__proto__":', '"seconds":', 'null', '{', '}', '[', ']', '"reload"', '\\u0000', '\\ud800']

const directory = path.join(os.tmpdir(), `pkctl-fuzz-socket-${process.pid}`)
process.on('exit', () => fs.rmSync(directory, { recursive: true, force: true }))
let server: Promise<string> | undefined

// A thread cannot change the umask of its process, as the server does for its socket.
Object.assign(process, { umask: () => 0o022 })

/** A server that reads requests as the daemon does, and has nothing to say. */
function socketPath(): Promise<string> {
  const file = path.join(directory, 'socket')
  server ??= listen({ path: file, group: null }, message => {
    readRequest(message)
    return Promise.resolve({ ok: true, result: null })
  }).then(() => file)
  return server
}

async function answerTo(input: Buffer): Promise<string> {
  const connection = net.connect(await socketPath())
  return new Promise((resolve, reject) => {
    let text = ''
    connection.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    connection.on('close', () => resolve(text))
    // A request that is too long is cut off.
    connection.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EPIPE' || error.code === 'ECONNRESET' ? resolve(text) : reject(error),
    )
    connection.end(input)
  })
}

export const requestTargets: readonly Target[] = [
  {
    name: 'requests',
    seeds,
    words,
    runs: 3000,
    run(input) {
      let message: unknown
      try {
        message = JSON.parse(input.toString())
      } catch {
        return
      }
      const request = orRefused(() => readRequest(message), ValueError)
      if (request === undefined) return
      assert.equal(isOpenTo(['status', 'list'], request), ['status', 'list', 'whose'].includes(request.request))
      assert.ok(JSON.stringify(request).length < 1000)
    },
  },
  {
    name: 'control-socket',
    seeds,
    words,
    runs: 300,
    async run(input) {
      const text = await answerTo(input)
      if (text === '') {
        assert.ok(input.length > 4096, 'a request without an answer')
        return
      }
      assert.match(text, /^[^\n]+\n$/)
      const answer = JSON.parse(text) as Answer
      if (!answer.ok) for (const { message } of answer.problems) isClear(message)
    },
  },
]
