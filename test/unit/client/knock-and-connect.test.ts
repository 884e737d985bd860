import assert from 'node:assert/strict'
import { once } from 'node:events'
import * as net from 'node:net'
import { describe, it } from 'node:test'
import type { KnockMethod } from '../../../src/client/knock-method.js'
import { knockAndConnect } from '../../../src/client/knock-and-connect.js'
import { UserError } from '../../../src/util/user-error.js'

const address = { address: '127.0.0.1', family: 4 as const }
const method = (send: KnockMethod['send']): KnockMethod => ({
  host: 'h',
  addresses: [address, { ...address }],
  kind: 'pkd',
  send,
})

describe('a knock and its connection', () => {
  it('leave what the server says first to the one who takes the connection', async () => {
    const server = net.createServer(socket => socket.end('greeting'))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as net.AddressInfo
    try {
      const connection = await knockAndConnect(
        method(() => Promise.resolve('')),
        port,
        10_000,
      )
      // What is sent later to another connection has arrived, and so has this.
      const later = net.connect(port, '127.0.0.1')
      await once(later, 'data')
      later.destroy()
      assert.equal(connection.bytesRead, 0)
      const [greeting] = (await once(connection.resume(), 'data')) as [Buffer]
      assert.equal(greeting.toString(), 'greeting')
      connection.destroy()
    } finally {
      server.close()
    }
  })

  it('try nothing when the knock cannot be made', async () => {
    let knocks = 0
    const failure = new UserError('the key is locked', 'unlock it')
    const failing = method(() => {
      knocks++
      return Promise.reject(failure)
    })
    await assert.rejects(knockAndConnect(failing, 9, 10_000), error => error === failure)
    assert.equal(knocks, 2)
  })
})
