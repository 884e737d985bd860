import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { sendToSocket, socketAddress } from '../../../src/queue/datagram.js'

describe('socketAddress', () => {
  it('ends a path with a zero', () => {
    assert.deepEqual(socketAddress('/run/a'), Buffer.from('\x01\0/run/a\0'))
  })

  it('begins an abstract name with a zero, and ends it with its last letter', () => {
    assert.deepEqual(socketAddress('@a/b'), Buffer.from('\x01\0\0a/b'))
  })

  for (const address of ['', '@', '/', 'relative', `/${'x'.repeat(107)}`, `@${'x'.repeat(108)}`]) {
    it(`refuses ${address.slice(0, 10)}, of ${address.length}`, () => {
      assert.throws(() => socketAddress(address), /cannot be a socket's address/)
    })
  }
})

describe('sendDatagram', () => {
  it('says what went wrong', () => {
    assert.throws(() => sendToSocket('/nowhere/at/all', 'x'), /^Error: sendto: No such file or directory$/)
    assert.throws(() => sendToSocket('@pkctl/nobody/reads/here', 'x'), /^Error: sendto: Connection refused$/)
  })
})
