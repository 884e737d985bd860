import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as net from 'node:net'
import * as os from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import * as j from '../../../src/nft/nft-json.js'
import type { Nft } from '../../../src/nft/nft.js'
import { NftError } from '../../../src/nft/nft-errors.js'
import { announceOwner, throughOwner } from '../../../src/nft/owner-request.js'

describe('a transaction of the program that owns the table', () => {
  let directory: string
  let server: net.Server
  let requests = 0

  before(async () => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-owner-'))
    const socket = path.join(directory, 'socket')
    server = net.createServer(connection => connection.on('error', () => undefined).once('data', () => requests++))
    await new Promise<void>(resolve => server.listen(socket, resolve))
    announceOwner(directory, socket)
  })
  after(() => {
    server.close()
    fs.rmSync(directory, { recursive: true })
  })

  it('is asked for once where no answer comes: the owner may make it later', async () => {
    let direct = 0
    const nft = {
      apply: () => {
        direct++
        return Promise.reject(new NftError('permission', 'nft', 'Operation not permitted'))
      },
    } as unknown as Nft
    const asked = throughOwner(nft, directory, 100).apply([j.addChain('pk-ssh')])
    await assert.rejects(asked, (error: NftError) => error.kind === 'no-answer')
    assert.deepEqual([requests, direct], [1, 0])
  })
})
