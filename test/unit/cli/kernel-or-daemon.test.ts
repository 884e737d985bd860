/** What a user without rights hears when the daemon is there, or not, or does not answer in time. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as net from 'node:net'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { kernelOrDaemon } from '../../../src/cli/changes/kernel-or-daemon.js'
import { NftError } from '../../../src/nft/nft-errors.js'

describe('a command without rights to the ruleset', () => {
  let directory: string
  let server: net.Server | undefined
  const socket = () => path.join(directory, 'socket')
  beforeEach(() => (directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-asked-'))))
  afterEach(() => {
    server?.close()
    fs.rmSync(directory, { recursive: true })
  })

  const denied = () => Promise.reject(new NftError('permission', 'list', 'Operation not permitted'))
  const asked = (milliseconds?: number) => kernelOrDaemon(socket(), { request: 'list' }, denied, milliseconds)
  const serve = (onConnection: (connection: net.Socket) => void) =>
    new Promise<void>(done => (server = net.createServer(onConnection).listen(socket(), done)))

  it('hears that there is no daemon', () => assert.rejects(asked(), /no daemon answers at/))

  it('does not hear that there is none when the answer is late, or the connection ends', async () => {
    const open: net.Socket[] = []
    await serve(connection => open.push(connection))
    await assert.rejects(asked(50), {
      message: `you may not read or change the ruleset, so pkctl asked pkctld at ${socket()}, which did not answer: no answer comes`,
      hint: 'pkctld may still do what you asked for: see pkctl list',
    })
    for (const one of open) one.destroy()
    server?.close()
    fs.rmSync(socket(), { force: true })
    await serve(connection => connection.on('data', () => connection.destroy()))
    await assert.rejects(asked(), /which did not answer/)
  })
})
