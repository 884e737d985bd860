/** Whose grants run: what is noted, found after a restart, and revoked. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { after, describe, it } from 'node:test'
import type { KnockGrant } from '../../../src/controller/grants/knock-grant-store.js'
import { KnockGrantStore } from '../../../src/controller/grants/knock-grant-store.js'
import { KnockGrants } from '../../../src/controller/grants/knock-grants.js'
import type { ServiceGrant, ServiceState } from '../../../src/nft/index.js'

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-signed-grants-'))
after(() => fs.rmSync(directory, { recursive: true }))
let stores = 0

class Bench {
  now = 1000
  boot = 'one'
  readonly reports: string[] = []
  readonly directory = path.join(directory, String(++stores))
  store = this.open()
  /** What the kernel has, and what is done to it. */
  kernel: ServiceGrant[] = []
  readonly done: string[] = []

  open(): KnockGrantStore {
    const report = (message: string) => void this.reports.push(message)
    return (this.store = KnockGrantStore.open(this.directory, { boot: this.boot, now: () => this.now, report }))
  }

  get grants(): KnockGrants {
    const spec = { prefix4: 32, prefix6: 64 }
    const names = [...new Set(this.kernel.map(({ service }) => service))]
    const services = new Map(
      names.map(name => [
        name,
        { spec: { name, ...spec }, grants: this.kernel.filter(({ service }) => service === name) },
      ]),
    ) as unknown as Map<string, ServiceState>
    return new KnockGrants({
      store: this.store,
      firewall: {
        services: () => Promise.resolve(services),
        apply: ({ revoke = [], grants = [] }) => {
          this.done.push(...revoke.map(({ service, source, by }) => `revoke ${service} ${source} by ${by}`))
          this.done.push(...grants.map(({ service, source, secondsLeft }) => `cut ${service} ${source} ${secondsLeft}`))
          return Promise.resolve({} as never)
        },
      },
      triggers: { closed: (credential, address) => void this.done.push(`on-close of ${credential} for ${address}`) },
      grantsOf: () => [
        { service: { name: 'ssh' }, seconds: 60 },
        { service: { name: 'web' }, seconds: Infinity },
      ],
      now: () => this.now,
      date: () => 1_700_000_000_000 + 1000 * this.now,
    })
  }

  knock(user: string, address: string, part: Partial<Parameters<KnockGrants['note']>[0]> = {}): void {
    const signer = { user, fingerprint: `SHA256:of ${user}` }
    this.grants.note({ kind: 'signed', credential: 'staff', by: 'knock', address, signer, ...part })
  }

  has(service: string, source: string, secondsLeft: number | null, by: 'knock' | 'hand' = 'knock'): void {
    this.kernel.push({ service, source, secondsLeft, by })
  }

  revoke(user: string, keys: string[] = [], credential: string | null = null) {
    return this.grants.revoke({ user, keys, credential })
  }

  running = (): string[] => this.store.running().map(({ user, service, address }) => `${user} ${service} ${address}`)
}

const ssh = { services: ['ssh'], seconds: null }

describe('the grants of users', () => {
  it('are noted for each service, and revoked by the name, once', async () => {
    const bench = new Bench()
    bench.knock('alice', '192.0.2.1')
    bench.knock('bob', '192.0.2.2', { part: ssh, by: 'hand' })
    assert.deepEqual(bench.running(), ['alice ssh 192.0.2.1', 'alice web 192.0.2.1', 'bob ssh 192.0.2.2'])
    bench.has('ssh', '192.0.2.1', 59)
    bench.has('web', '192.0.2.1', null)
    bench.has('ssh', '192.0.2.2', 59, 'hand')
    const places = [
      { service: 'ssh', source: '192.0.2.1' },
      { service: 'web', source: '192.0.2.1' },
    ]
    assert.deepEqual(await bench.revoke('alice'), { revoked: places, kept: [] })
    assert.deepEqual(bench.done.splice(0), [
      'revoke ssh 192.0.2.1 by knock',
      'revoke web 192.0.2.1 by knock',
      'on-close of staff for 192.0.2.1',
    ])
    assert.deepEqual(await bench.revoke('alice'), { revoked: [], kept: [] })
    assert.deepEqual(await bench.revoke('nothing of', ['SHA256:of bob']), {
      revoked: [{ service: 'ssh', source: '192.0.2.2' }],
      kept: [],
    })
    assert.deepEqual(bench.done, ['revoke ssh 192.0.2.2 by hand', 'on-close of staff for 192.0.2.2'])
  })

  it('are over for who knocked before a command deleted them, and known by who knocks last', async () => {
    const bench = new Bench()
    bench.knock('alice', '192.0.2.1')
    bench.knock('carol', '192.0.2.9')
    bench.now += 10
    bench.knock('bob', '192.0.2.1')
    const whose = () => bench.grants.whose().filter(({ service }) => service === 'ssh')
    assert.deepEqual(
      whose().map(({ user, address, at }) => [user, address, (at as number) - 1_700_000_000]),
      [
        ['alice', '192.0.2.1', bench.now - 10],
        ['carol', '192.0.2.9', bench.now - 10],
        ['bob', '192.0.2.1', bench.now],
      ],
    )
    bench.grants.deleted('ssh', '192.0.2.0/29')
    assert.deepEqual(bench.running(), [
      ...['alice web 192.0.2.1', 'carol ssh 192.0.2.9', 'carol web 192.0.2.9'],
      ...['bob ssh 192.0.2.1', 'bob web 192.0.2.1'],
    ])
    bench.open()
    assert.deepEqual(bench.running().sort(), [
      ...['alice web 192.0.2.1', 'bob ssh 192.0.2.1', 'bob web 192.0.2.1'],
      ...['carol ssh 192.0.2.9', 'carol web 192.0.2.9'],
    ])
    bench.has('ssh', '192.0.2.1', 60)
    const revoked = await bench.revoke('bob', [], 'staff')
    assert.deepEqual(revoked.kept, [], 'alice has it no more')
  })

  it('of knocks that no user signs are noted by what the log is told, and revoked for their credential', async () => {
    const bench = new Bench()
    const event = { kind: 'grant', credential: 'laptop', source: '192.0.2.1', port: 1 } as const
    bench.grants.noteEvent(event)
    const byHand = { kind: 'signed', by: 'hand', part: ssh } as const
    bench.grants.note({ ...byHand, credential: 'phone', address: '192.0.2.3' })
    // The log is told of it later, when a knock that closes may have taken it back.
    bench.grants.noteEvent({ ...event, credential: 'phone', source: '192.0.2.2', onBehalfOf: '192.0.2.4', part: ssh })
    bench.grants.note({ ...byHand, credential: 'laptop', address: '192.0.2.1' })
    bench.grants.note({ ...byHand, credential: 'laptop', address: '2001:db8::1' })
    bench.grants.noteEvent({ ...event, also: '2001:db8::2', part: ssh })
    bench.grants.noteEvent({ ...event, source: '192.0.2.8', kind: 'refuse' })
    bench.grants.noteEvent({ ...event, source: '192.0.2.9', signer: { fingerprint: 'SHA256:a' } })
    bench.open()
    const all = bench.store.running().map(one => `${one.credential} ${one.service} ${one.address} by ${one.by}`)
    assert.deepEqual(all, [
      'laptop ssh 192.0.2.1 by knock',
      'laptop web 192.0.2.1 by knock',
      'phone ssh 192.0.2.3 by hand',
      'laptop ssh 192.0.2.1 by hand',
      'laptop ssh 2001:db8::1 by hand',
    ])
    bench.has('ssh', '192.0.2.1', 59)
    bench.has('web', '192.0.2.1', null)
    bench.has('ssh', '192.0.2.3', 59, 'hand')
    assert.deepEqual(await bench.grants.running(['phone', 'other']), [
      { credential: 'phone', service: 'ssh', source: '192.0.2.3' },
    ])
    const { revoked } = await bench.grants.revoke({ user: null, keys: [], credential: 'laptop' })
    assert.deepEqual(revoked, [
      { service: 'ssh', source: '192.0.2.1' },
      { service: 'web', source: '192.0.2.1' },
    ])
    const own = { service: 'ssh', source: '192.0.2.5' }
    bench.has('ssh', own.source, 59)
    bench.grants.noteEvent({ ...event, source: own.source })
    assert.deepEqual(await bench.grants.running(['laptop']), [{ credential: 'laptop', ...own }])
    bench.grants.noteEvent({ ...event, source: own.source, kind: 'revoke' })
    assert.deepEqual(await bench.grants.running(['laptop']), [])
    // A mark does not revoke in the kernel what a command has granted, and a command notes itself what it revokes.
    bench.grants.noteEvent({ ...event, credential: 'phone', source: '192.0.2.3', kind: 'revoke' })
    bench.grants.noteEvent({ ...event, credential: 'phone', source: '192.0.2.3', kind: 'revoke', byCommand: true })
    assert.equal((await bench.grants.running(['phone'])).length, 1)
  })

  it('are found by the CA of a certificate, and only for the credential', async () => {
    const bench = new Bench()
    const signer = { user: 'ops', fingerprint: 'SHA256:a', authority: 'SHA256:ca' }
    bench.knock('ops', '2001:db8::7', { part: ssh, signer })
    bench.has('ssh', '2001:db8::/64', 50)
    assert.deepEqual(await bench.revoke('ca', ['SHA256:ca'], 'others'), { revoked: [], kept: [] })
    const { revoked } = await bench.revoke('ca', ['SHA256:ca'], 'staff')
    assert.deepEqual(revoked, [{ service: 'ssh', source: '2001:db8::/64' }])
  })

  it('stay where another user has the same one, for as long as that is', async () => {
    const bench = new Bench()
    bench.knock('bob', '192.0.2.1', { part: ssh })
    bench.now += 20
    bench.knock('alice', '192.0.2.1', { part: ssh })
    bench.has('ssh', '192.0.2.1', 60)
    assert.deepEqual(await bench.revoke('alice'), {
      revoked: [],
      kept: [{ service: 'ssh', source: '192.0.2.1', secondsLeft: 40 }],
    })
    assert.deepEqual(bench.done, ['cut ssh 192.0.2.1 40'])
  })

  it('stay where the kernel has a later end, which is of another knock or a command', async () => {
    const bench = new Bench()
    bench.knock('alice', '192.0.2.1', { part: ssh, by: 'hand' })
    bench.knock('alice', '192.0.2.2', { part: ssh })
    bench.has('ssh', '192.0.2.1', null, 'hand')
    bench.has('ssh', '192.0.2.2', 64)
    const { revoked, kept } = await bench.revoke('alice')
    assert.deepEqual([revoked, kept.map(({ secondsLeft }) => secondsLeft), bench.done], [[], [null, 64], []])
  })

  it('of a knock that closes are no longer theirs', async () => {
    const bench = new Bench()
    bench.knock('alice', '192.0.2.1')
    bench.knock('alice', '192.0.2.1', { part: ssh, by: 'close' })
    assert.deepEqual(bench.running(), ['alice web 192.0.2.1'])
    bench.open()
    assert.deepEqual(bench.running(), ['alice web 192.0.2.1'])
    bench.has('ssh', '192.0.2.1', 50)
    bench.has('web', '192.0.2.1', null)
    assert.deepEqual((await bench.revoke('alice')).revoked, [{ service: 'web', source: '192.0.2.1' }])
  })

  it('are known after a restart, until they end, and not after a boot', () => {
    const bench = new Bench()
    bench.knock('alice', '192.0.2.1')
    bench.now += 10
    bench.open()
    assert.deepEqual(bench.running(), ['alice ssh 192.0.2.1', 'alice web 192.0.2.1'])
    bench.now += 50
    assert.deepEqual(bench.running(), ['alice web 192.0.2.1'])
    bench.boot = 'two'
    bench.open()
    assert.deepEqual(bench.running(), [])
  })
})

describe('the file of signed grants', () => {
  const grant = (i: number, until = 2000): KnockGrant => ({
    ...{ credential: 'staff', service: 'ssh', by: 'knock', user: null, key: 'SHA256:a', authority: null, until },
    address: `10.0.${i >> 8}.${i & 255}`,
  })
  const file = (bench: Bench) => path.join(bench.directory, 'signed-grants')

  it('is read without the lines that are damaged', () => {
    const bench = new Bench()
    bench.store.note(grant(1))
    bench.store.note(grant(2))
    const text = fs.readFileSync(file(bench), 'utf8')
    const bad = ['{', '{"key":1}', text.split('\n')[1]?.replace('10.0.0.1', '10.0.0.1; rm -rf /'), '[]', 'null', '']
    fs.writeFileSync(file(bench), `${text}\n${bad.join('\n')}`)
    bench.open()
    assert.deepEqual(
      bench.store.running().map(({ address }) => address),
      ['10.0.0.1', '10.0.0.2'],
    )
  })

  it('does not grow without end', () => {
    const bench = new Bench()
    for (let i = 0; i < 5000; i++) bench.store.note(grant(i % 3, 2000 + i))
    assert.ok(fs.readFileSync(file(bench), 'utf8').split('\n').length < 1010)
    for (let i = 0; i < 5000; i++) bench.store.note(grant(i, (bench.now += 2) + 1))
    assert.ok(fs.readFileSync(file(bench), 'utf8').split('\n').length < 2100)
    bench.open()
    assert.deepEqual(bench.store.running().length, 1)
  })

  it('has no line for a knock that changes little, and one before that adds up', () => {
    const bench = new Bench()
    for (let i = 0; i <= 10; i++) bench.store.note(grant(1, 1060 + i / 4))
    const ends = fs.readFileSync(file(bench), 'utf8').match(/"until":[\d.]+/g)
    assert.deepEqual(ends, ['"until":1060', '"until":1061', '"until":1062'])
    assert.deepEqual(
      bench.store.running().map(({ until }) => until),
      [1062.5],
    )
    for (let i = 0; i < 3; i++) bench.store.note(grant(2, Infinity))
    assert.equal(fs.readFileSync(file(bench), 'utf8').match(/"until":null/g)?.length, 1)
  })

  it('is written again where another program removes it, and where it cannot be, that is reported once', () => {
    const bench = new Bench()
    bench.store.note(grant(1))
    fs.rmSync(file(bench))
    bench.store.note(grant(2))
    bench.open()
    assert.equal(bench.store.running().length, 2)
    fs.rmSync(bench.directory, { recursive: true })
    bench.store.note(grant(3))
    bench.store.note(grant(4))
    assert.equal(bench.store.running().length, 4)
    assert.deepEqual(bench.reports.length, 1)
    assert.match(
      bench.reports[0] ?? '',
      /^pkctl revoke and pkctl user revoke may miss grants that run now: \S+ cannot be written/,
    )
  })
})
