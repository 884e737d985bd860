import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as net from 'node:net'
import * as os from 'node:os'
import * as path from 'node:path'
import { it } from 'node:test'
import { ask } from '../../../src/util/socket/client.js'
import { listen } from '../../../src/util/socket/server.js'

it('who asks and never reads the answer keeps nobody out for long', async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-socket-'))
  const file = path.join(directory, 'socket')
  const result = 'x'.repeat(1_000_000)
  let answered = 0
  const listener = await listen({ path: file, group: null }, () => {
    answered++
    return Promise.resolve({ ok: true, result })
  })
  const idle = Array.from({ length: 64 }, () => net.connect(file).on('error', () => undefined))
  try {
    for (const connection of idle) connection.pause().end('{"request":"list"}')
    const deadline = Date.now() + 30_000
    while (answered < 64 && Date.now() < deadline) await new Promise(done => setTimeout(done, 20))
    let reply: unknown
    while (reply === undefined && Date.now() < deadline) {
      reply = await ask(file, { request: 'list' }).catch(() => undefined)
      await new Promise(done => setTimeout(done, 200))
    }
    assert.deepEqual(reply, { ok: true, result })
  } finally {
    for (const connection of idle) connection.destroy()
    await listener.close()
    fs.rmSync(directory, { recursive: true })
  }
})
