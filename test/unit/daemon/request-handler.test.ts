import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { after, describe, it } from 'node:test'
import type { Controller, LogFields, RefusedReload, Status } from '../../../src/controller/index.js'
import { requestHandler } from '../../../src/daemon/request-handler.js'
import { isOpenTo, readRequest } from '../../../src/daemon/requests.js'
import { NftError } from '../../../src/nft/nft-errors.js'
import type { Firewall } from '../../../src/nft/index.js'
import { rulesetNumber } from '../../../src/nft/index.js'
import type { Command } from '../../../src/nft/nft-json.js'
import { addTable } from '../../../src/nft/nft-json.js'
import { status } from '../doctor/doctor-support.js'

describe('requests', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-requests-'))
  after(() => fs.rmSync(directory, { recursive: true }))
  const file = path.join(directory, 'pkctl.yaml')
  const write = (text: string) => fs.writeFileSync(file, `state-directory: ${directory}\n${text}`)
  const root = { via: 'root' }
  const logged: string[] = []
  const fields: (LogFields | undefined)[] = []
  const say = (message: string, its?: LogFields) => {
    logged.push(message)
    fields.push(its)
  }
  const revoked = [{ service: 'ssh', source: '192.0.2.1' }]
  const handle = requestHandler({
    controller: {
      status: () => Promise.resolve(status),
      revokeGrants: () => Promise.resolve({ revoked, kept: [] }),
      reload: (config: unknown) => Promise.resolve({ change: { details: [] }, config, needsRestart: [], running: [] }),
    } as unknown as Controller,
    firewall: {} as unknown as Firewall,
    owner: { applyOwned: () => Promise.resolve(false) },
    file,
    log: {
      ...{ error: say, warn: say, info: say, debug: say },
      prepare: () => ({ warnings: [], use: () => undefined, drop: () => undefined }),
      lostLines: () => 7,
      close: () => Promise.resolve(),
    },
    manager: {
      ...{ ready: () => undefined, reloading: () => undefined, stopping: () => undefined },
      ...{ note: () => undefined, watch: () => undefined, close: () => undefined },
    },
    notifier: { use: () => undefined },
    reloads: { refused: null },
    ready: Promise.resolve(),
  })
  const refused = async (): Promise<RefusedReload | null | undefined> => {
    const answer = await handle({ request: 'status' }, root)
    return answer.ok ? (answer.result as Status).refusedReload : undefined
  }

  it('the status counts the lines that the log has lost', async () => {
    const answer = await handle({ request: 'status' }, root)
    assert.equal(answer.ok && (answer.result as Status).lostLogLines, 7)
  })

  it('the status names a refused reload, with its time and first error, until a good one', async () => {
    assert.equal(await refused(), null)
    write('services:\n  ssh: {}\n  web: {port: 0}\n')
    fields.length = 0
    assert.equal((await handle({ request: 'reload' }, { via: 'SIGHUP' })).ok, false)
    assert.deepEqual(fields[0], { event: 'reload-refused', asker: 'SIGHUP' })
    const { at = 0, error = '', errors } = (await refused()) ?? {}
    assert.ok(Math.abs(at - Date.now() / 1000) < 60)
    assert.match(error, /pkctl\.yaml:3:\d+: services\.ssh: 'port' is missing$/)
    assert.equal(errors, 2)
    write('services: {}\n')
    assert.equal((await handle({ request: 'reload' }, { via: 'SIGHUP' })).ok, true)
    assert.equal(await refused(), null)
  })

  it('a note says in the log what a command did, and who ran it from where, in one line and in fields', async () => {
    const by = { user: 'root', uid: 0, 'sudo-user': 'ada', 'sudo-uid': 1000, from: '192.0.2.7' }
    const change = { action: 'add', service: 'ssh', source: '198.51.100.7', seconds: 60 }
    const note = { what: 'service ssh\nremoved', by, change }
    ;[logged.length, fields.length] = [0, 0]
    assert.deepEqual(await handle(readRequest({ request: 'note', ...note }), root), { ok: true, result: null })
    assert.deepEqual(logged, ['service ssh\\u000aremoved, by command of root (sudo by ada) from 192.0.2.7'])
    const who = { asker: 'root (sudo by ada)', uid: 0, 'sudo-user': 'ada', 'sudo-uid': 1000, from: '192.0.2.7' }
    assert.deepEqual(fields, [{ event: 'change', ...change, ...who }])
    for (const wrong of [
      { what: '' },
      { what: 7 },
      { what: 'x'.repeat(1001) },
      { by: 'root' },
      { by: { ...by, uid: -1 } },
      { by: { ...by, from: 'x'.repeat(65) } },
      { by: { ...by, more: 1 } },
      { change: null },
      { change: { action: 'flush' } },
      { change: { ...change, seconds: 0 } },
      { change: { ...change, services: 'ssh' } },
      { change: { ...change, event: 'healed' } },
    ])
      assert.throws(() => readRequest({ request: 'note', ...note, ...wrong }), { name: 'ValueError' })
  })

  it('what the kernel says of who asks counts for more than what a command says, and a member of a group is named by it', async () => {
    const by = { user: 'root', uid: 0, 'sudo-user': 'ada', 'sudo-uid': 1000, from: '192.0.2.7' }
    const request = readRequest({ request: 'revoke', user: null, keys: [], credential: 'laptop', by })
    ;[logged.length, fields.length] = [0, 0]
    await handle(request, { via: 'group adm', uid: 65_534 })
    await handle(request, { via: 'root', uid: 7 })
    assert.match(logged[0] ?? '', /revoked, at the request of nobody of group adm from 192\.0\.2\.7$/)
    const what = { event: 'change', action: 'revoke', ...revoked[0], credential: 'laptop' }
    const sudo = { 'sudo-user': 'ada', 'sudo-uid': 1000 }
    assert.deepEqual(fields, [
      { ...what, asker: 'group adm', uid: 65_534, from: '192.0.2.7' },
      { ...what, asker: 'root (sudo by ada)', uid: 7, ...sudo, from: '192.0.2.7' },
    ])
  })

  it('grants are revoked of a user by name and keys, and the log has each', async () => {
    logged.length = 0
    const key = `SHA256:${'a/+9'.repeat(10)}abc`
    const request = readRequest({ request: 'revoke', user: 'ada', keys: [key], credential: null })
    assert.deepEqual(await handle(request, root), { ok: true, result: { revoked, kept: [] } })
    assert.deepEqual(logged, ['192.0.2.1 may no longer use ssh: the grants of ada are revoked, at the request of root'])
    assert.equal(isOpenTo(['status', 'list', 'add', 'delete', 'reload'], request), false)
    const whose = readRequest({ request: 'whose' })
    assert.deepEqual([isOpenTo(['list'], whose), isOpenTo(['status', 'add'], whose)], [true, false])
    const whole = { user: 'ada', keys: [key], credential: null }
    for (const wrong of [{ user: '' }, { keys: 'all' }, { keys: ['SHA256:x'] }, { keys: [7] }, { credential: 'a b' }])
      assert.throws(() => readRequest({ request: 'revoke', ...whole, ...wrong }), { name: 'ValueError' })
    assert.throws(() => readRequest({ request: 'revoke', user: 'ada', keys: [] }), { name: 'ValueError' })
    const ofAll = { request: 'revoke', user: null, keys: [], credential: null }
    assert.throws(() => readRequest(ofAll), /expected a user, or a credential/)
    assert.deepEqual(readRequest({ ...ofAll, credential: 'laptop' }), { ...ofAll, credential: 'laptop' })
  })

  it('what the whole fleet is to do is for root, and only where there is a fleet', async () => {
    const grant = { service: 'ssh', address: '192.0.2.1', fleet: true }
    for (const request of [
      readRequest({ request: 'add', seconds: 60, ...grant }),
      readRequest({ request: 'delete', ...grant }),
    ]) {
      assert.equal(isOpenTo(['status', 'list', 'add', 'delete', 'reload'], request), false)
      const answer = await handle(request, root)
      assert.match(answer.ok ? '' : (answer.problems[0]?.message ?? ''), /in no fleet/)
    }
    for (const fleet of [false, 'edge', null])
      assert.throws(() => readRequest({ request: 'delete', ...grant, fleet }), { name: 'ValueError' })
    assert.throws(() => readRequest({ request: 'reload', fleet: true }), { name: 'ValueError' })
  })

  it('a transaction goes to the owner of the table, before the daemon is ready, and only for its own ruleset', async () => {
    const asked: unknown[] = []
    let outcome: boolean | Error = true
    const owner = {
      applyOwned: (commands: readonly Command[], how: string) => {
        asked.push([how, ...commands])
        return outcome instanceof Error ? Promise.reject(outcome) : Promise.resolve(outcome)
      },
    }
    const early = requestHandler({
      ...({} as Parameters<typeof requestHandler>[0]),
      owner,
      ready: new Promise(() => undefined),
    })
    const request = { request: 'transaction', how: 'apply', ruleset: rulesetNumber(), commands: [addTable()] }
    const result = async (changes: object = {}) => {
      const answer = await early(readRequest({ ...request, ...changes }), root)
      return answer.ok ? answer.result : answer.problems
    }
    assert.deepEqual(await result(), { outcome: 'done' })
    assert.deepEqual(asked, [['apply', addTable()]])
    outcome = false
    assert.deepEqual(await result({ how: 'check' }), { outcome: 'not-owner' })
    outcome = new NftError('busy', 'nft', 'Error: Device or resource busy')
    const failed = { outcome: 'failed', kind: 'busy', operation: 'nft', stderr: 'Error: Device or resource busy' }
    assert.deepEqual(await result(), failed)
    asked.length = 0
    assert.deepEqual(await result({ ruleset: '1' }), { outcome: 'not-owner' })
    assert.deepEqual(asked, [])
  })

  it('a transaction about anything but the table of pkctl is refused, and a group may not ask for one', () => {
    const request = { request: 'transaction', how: 'apply', ruleset: '1' }
    const foreign = [
      [],
      [{}],
      [null],
      [{ list: { ruleset: null } }],
      [{ flush: { ruleset: null } }],
      [{ add: { table: { family: 'inet', name: 'filter' } } }],
      [{ add: { rule: { family: 'ip', table: 'pkctl', chain: 'a', expr: [] } } }],
      [addTable(), { delete: { table: { family: 'inet', name: 'filter' } } }],
      [{ ...addTable(), delete: { table: { family: 'inet', name: 'filter' } } }],
    ]
    for (const commands of foreign)
      assert.throws(() => readRequest({ ...request, commands }), { name: 'ValueError' }, JSON.stringify(commands))
    assert.throws(() => readRequest({ ...request, how: 'list', commands: [addTable()] }), { name: 'ValueError' })
    const one = readRequest({ ...request, commands: [addTable()] })
    assert.equal(isOpenTo(['status', 'list', 'add', 'delete', 'reload'], one), false)
  })
})
