/** A socket whose file is removed, or replaced, while the daemon runs. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as net from 'node:net'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { KeptSocket } from '../../../src/daemon/kept-socket.js'
import { listenAt } from '../../../src/daemon/control-socket.js'
import { ask } from '../../../src/util/socket/client.js'

const umaskNow = () => /^Umask:.*/m.exec(fs.readFileSync('/proc/self/status', 'utf8'))?.[0]

describe('the socket of the daemon', () => {
  let directory: string
  let file: string
  let sockets: KeptSocket[]
  let said: string[]
  const log = {
    error: (text: string) => void said.push(`error: ${text}`),
    warn: (text: string) => void said.push(text),
  }
  const keep = () => Promise.all(sockets.map(socket => socket.keep(log)))
  const status = () => ask(file, { request: 'status' })
  const answer = { ok: true, result: 'well' } as const

  beforeEach(async () => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-kept-'))
    file = path.join(directory, 'pkctl.sock')
    said = []
    sockets = await listenAt({ path: file, group: 'root', groupMay: ['status'] }, () => Promise.resolve(answer))
  })
  afterEach(async () => {
    await Promise.all(sockets.map(socket => socket.close('it ends')))
    fs.rmSync(directory, { recursive: true })
  })

  it('is left alone while it is there', async () => {
    const { ino } = fs.statSync(file)
    await keep()
    assert.deepEqual([said, fs.statSync(file).ino], [[], ino])
  })

  it('is made again where another program has removed it, for root and for the group', async () => {
    const umaskBefore = umaskNow()
    for (let i = 0; i < 2; i++) {
      said = []
      fs.rmSync(file)
      fs.rmSync(`${file}.group`)
      await keep()
      const again = (name: string) => `another program has removed the socket ${name}; pkctld has made it again`
      assert.deepEqual(said.sort(), [again(`${file}.group`), again(file)])
      assert.equal(umaskNow(), umaskBefore)
      assert.deepEqual(await status(), answer)
      assert.equal(fs.statSync(file).mode & 0o777, 0o600)
      assert.equal(fs.statSync(`${file}.group`).mode & 0o777, 0o660)
    }
  })

  it('is not taken from another program, and the log says so once', async () => {
    fs.rmSync(file)
    const other = net.createServer().listen(file)
    await new Promise(done => other.once('listening', done))
    await keep()
    await keep()
    assert.deepEqual(said, [
      `error: another program has put a file in the place of the socket ${file}: commands do not reach pkctld`,
    ])
    await new Promise(done => other.close(done))
    await keep()
    assert.deepEqual(await status(), answer)
  })

  it('is not made again by a daemon that ends', async () => {
    fs.rmSync(file)
    const kept = keep()
    await Promise.all([kept, ...sockets.map(socket => socket.close('it ends'))])
    await keep()
    assert.equal(fs.existsSync(file), false)
  })
})
