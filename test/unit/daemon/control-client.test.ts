import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { it } from 'node:test'
import { askOrExplain } from '../../../src/daemon/control-client.js'

it('a daemon that ends before it reads the request is named as that', async () => {
  const directory = fs.mkdtempSync(path.join(tmpdir(), 'pkctl-ask-'))
  const socket = path.join(directory, 'pkctl.sock')
  // Paused, so that the request stays unread; a socket that is closed with unread data is reset.
  const server = net.createServer({ pauseOnConnect: true }, connection => {
    setTimeout(() => connection.destroy(), 100)
  })
  await new Promise<void>(done => server.listen(socket, done))
  try {
    await assert.rejects(askOrExplain(socket, 'status'), /pkctld at .* ended before it answered$/)
  } finally {
    server.close()
    fs.rmSync(directory, { recursive: true })
  }
})
