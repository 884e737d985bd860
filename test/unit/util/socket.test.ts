import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as net from 'node:net'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import { ask } from '../../../src/util/socket/client.js'
import { listen } from '../../../src/util/socket/server.js'
import { isAnswering, removeStale } from '../../../src/util/socket/socket-file.js'

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
    await listener.close('it ends')
    fs.rmSync(directory, { recursive: true })
  }
})

describe('a request', () => {
  let directory: string
  let file: string
  beforeEach(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-socket-'))
    file = path.join(directory, 'socket')
  })
  afterEach(() => fs.rmSync(directory, { recursive: true }))

  /** Sends this and ends its side; resolves to what comes. */
  const raw = (...parts: string[]) =>
    new Promise<string>((resolve, reject) => {
      let text = ''
      const connection = net.connect(file)
      connection.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      connection.on('error', reject)
      connection.on('close', () => resolve(text))
      for (const part of parts) connection.write(part)
      connection.end()
    })

  it('is answered to those who end their side, whether it is a line or several', async () => {
    const listener = await listen({ path: file, group: null }, message =>
      Promise.resolve({ ok: true, result: message }),
    )
    const answer = '{"ok":true,"result":{"request":"list"}}\n'
    for (const parts of [['{"request":"list"}'], ['{"request":"list"}\n'], ['{\n"request":\n', '"list"\n}\n']]) {
      assert.equal(await raw(...parts), answer)
    }
    assert.match(await raw('{\n"request":'), /"ok":false/)
    assert.deepEqual(await ask(file, { request: 'list' }), { ok: true, result: { request: 'list' } })
    await listener.close('')
  })

  it('whose asker leaves is not worked on any more', async () => {
    let work: (left: AbortSignal) => void = () => undefined
    const asked = new Promise<AbortSignal>(done => (work = done))
    const listener = await listen({ path: file, group: null }, (_, left) => {
      work(left)
      return new Promise(() => undefined)
    })
    const connection = net.connect(file)
    connection.write('{"request":"list","stays-open":true}\n')
    const left = await asked
    assert.equal(left.aborted, false)
    const hasLeft = new Promise(done => left.addEventListener('abort', done, { once: true }))
    connection.destroy()
    await hasLeft
    await listener.close('')
  })

  it('that waits when the socket closes is refused', async () => {
    let asked = 0
    const listener = await listen({ path: file, group: null }, () => {
      asked++
      return new Promise(() => undefined)
    })
    const waiting = [ask(file, { request: 'list' }), raw('{"request":"list"}')]
    while (asked < 2) await new Promise(done => setTimeout(done, 5))
    await listener.close('the daemon is stopping')
    const refusal = { ok: false, problems: [{ message: 'the daemon is stopping' }] }
    assert.deepEqual(await waiting[0], refusal)
    assert.deepEqual(JSON.parse((await waiting[1]) as string), refusal)
  })
})

/** Listens, and never accepts a connection. */
const standingStill = `
  const { workerData, parentPort } = require('node:worker_threads')
  require('node:net').createServer().listen({ path: workerData, backlog: 1 }, () => {
    parentPort.postMessage('listening')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  })`

it('a socket whose queue is full is served: it is not removed, and a stale one is', async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-socket-'))
  const file = path.join(directory, 'socket')
  assert.equal(await isAnswering(file), false)
  assert.equal(await isAnswering(path.join(directory, 'missing', 'socket')), false)
  const worker = new Worker(standingStill, { eval: true, workerData: file })
  const waiting: net.Socket[] = []
  try {
    await new Promise(done => worker.once('message', done))
    const refused = new Promise<NodeJS.ErrnoException>(done => {
      for (let i = 0; i < 8; i++) waiting.push(net.connect(file).on('error', done))
    })
    assert.equal((await refused).code, 'EAGAIN')
    assert.equal(await isAnswering(file), true)
    await assert.rejects(removeStale(file), { name: 'SocketError', problem: 'in-use' })
    await worker.terminate()
    await removeStale(file)
    assert.equal(fs.existsSync(file), false)
  } finally {
    for (const connection of waiting) connection.destroy()
    await worker.terminate()
    fs.rmSync(directory, { recursive: true })
  }
})

it('a socket that this process has no right to use is no sign of another daemon', async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-socket-'))
  const file = path.join(directory, 'socket')
  const server = net.createServer().listen(file)
  try {
    await new Promise(done => server.once('listening', done))
    fs.chmodSync(directory, 0o755)
    fs.chmodSync(file, 0o600)
    process.seteuid?.(65_534)
    await assert.rejects(removeStale(file), { name: 'SocketError', problem: 'no-right' })
  } finally {
    process.seteuid?.(0)
    server.close()
    fs.rmSync(directory, { recursive: true })
  }
})
