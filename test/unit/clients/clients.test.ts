/** clients/ make the packets of docs/protocol.md, and a receiver written after that page reads all vectors as pkctl does. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { KnockVectors } from '../../support/knock-vectors.js'
import { judgeVector, knockVectorsFile, readKnockVectors, receiverOf } from '../../support/knock-vectors.js'
import { root } from '../../support/commands.js'

const vectors = readKnockVectors()
const now = 1_800_000_012_345
const port = 62_201

function output(command: readonly string[], input?: string): string {
  const [program = '', ...args] = command
  const { status, stdout, stderr } = spawnSync(program, args, { input, encoding: 'utf8', maxBuffer: 1e8 })
  assert.equal(status, 0, stderr)
  return stdout
}

describe('a receiver in Python', () => {
  it('says of every vector what pkctl says', () => {
    const reader = path.join(root, 'test/support/knock_reader.py')
    const outcomes = JSON.parse(output(['python3', reader, knockVectorsFile])) as Record<string, string>
    assert.equal(Object.keys(outcomes).length, vectors.cases.length)
    for (const { name } of vectors.cases) assert.equal(outcomes[name], name.split(':')[0], name)
  })
})

describe('packets of the clients', () => {
  const [user = '', key = ''] = Object.entries(vectors.symmetric)[0] ?? []
  let directory: string
  let users: KnockVectors

  before(() => {
    directory = fs.mkdtempSync(path.join(tmpdir(), 'pkctl-clients-'))
    const ssh: Record<string, string> = {}
    for (const type of ['ed25519', 'ecdsa']) {
      output(['ssh-keygen', '-q', '-t', type, '-N', '', '-C', '', '-f', path.join(directory, type)])
      ssh[type] = fs.readFileSync(path.join(directory, `${type}.pub`), 'utf8').trim()
    }
    users = { ...vectors, ssh }
  })
  after(() => {
    fs.rmSync(directory, { recursive: true })
  })

  const judge = (payload: string, at: number, to = port) =>
    judgeVector({ name: '', port: to, now: at, payload }, receiverOf(users))

  it('of knock.py ask for what they are to ask, and are accepted', () => {
    const plain = { close: false, window: null, prefix: null, other: null, host: null, services: [] as string[] }
    const requests = [
      plain,
      { ...plain, close: true },
      { ...plain, window: 28_800, services: ['vpn', 'ssh'] },
      { ...plain, prefix: 24, other: 'fd770000000000000000000000000002' },
      { ...plain, host: 'c0000207', services: ['ssh'] },
    ]
    const input = {
      identity: vectors.server.identity,
      key,
      sshKeys: ['ed25519', 'ecdsa'].map(name => path.join(directory, name)),
      cases: requests.map(request => ({ port, milliseconds: now, request })),
    }
    const script = path.join(root, 'test/support/make_knocks.py')
    const made = JSON.parse(output(['python3', script], JSON.stringify(input))) as string[][]
    for (const [i, packets] of made.entries()) {
      const wanted = requests[i] as (typeof requests)[number]
      for (const [j, name] of [user, 'ed25519', 'ecdsa'].entries()) {
        const judged = judge(packets[j] as string, now)
        assert.ok('request' in judged && !('layer' in judged), `${name}: ${JSON.stringify(wanted)}`)
        assert.equal(judged.user, name)
        const { time, other, host, services, ...rest } = judged.request
        assert.equal(Number(time), now)
        const { other: wantedOther, host: wantedHost, services: wantedServices, ...wantedRest } = wanted
        assert.deepEqual(rest, wantedRest)
        assert.deepEqual([other?.toString('hex') ?? null, host?.toString('hex') ?? null], [wantedOther, wantedHost])
        assert.deepEqual(services, [...wantedServices].sort())
      }
    }
  })

  for (const shell of ['sh', 'bash']) {
    it(`of knock.sh in ${shell} are accepted`, () => {
      const keyFile = path.join(directory, 'key')
      fs.writeFileSync(keyFile, `0x${key}\n`)
      const script = path.join(root, 'clients/knock.sh')
      const args = ['server', '--identity', vectors.server.identity, '--key-file', keyFile, '--print']
      for (const [flags, close] of [
        [[], false],
        [['--close'], true],
      ] as const) {
        const [to, payload = ''] = output([shell, script, ...args, ...flags])
          .trim()
          .split(' ')
        const judged = judge(payload, Date.now(), Number(to))
        // A slow machine may take longer than the skew.
        assert.ok('request' in judged, 'layer' in judged ? judged.layer : '')
        assert.equal(judged.user, user)
        assert.equal(judged.request.close, close)
      }
    })
  }
})
