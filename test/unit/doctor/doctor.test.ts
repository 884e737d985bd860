import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import type { Config } from '../../../src/config/types.js'
import { checkAll } from '../../../src/doctor/checks/check-all.js'
import type { ClockState, Facts, FileFacts } from '../../../src/doctor/facts.js'
import type { FindingId, Level } from '../../../src/doctor/finding.js'
import { catalogue, finding, findingsSummary } from '../../../src/doctor/finding.js'
import { parseStep } from '../../../src/knock/step.js'
import { root } from '../../support/commands.js'
import { facts, file, finds, goodKey, laptop, status, version } from './doctor-support.js'

describe('of a sound machine', () => {
  it('nothing is found', () => {
    assert.deepEqual(checkAll(facts(), version), [])
    assert.equal(findingsSummary([]), 'no problems found')
  })
  it('what is found is counted, errors first', () => {
    const levels: Level[] = ['error', 'error', 'warning', 'note', 'note']
    assert.equal(
      findingsSummary(levels.map(level => finding('no-nft', '', '', { level }))),
      '2 errors, 1 warning, 2 notes',
    )
    const found = checkAll(
      { ...facts(laptop.replace('opens', 'rate: none, opens')), clock: 'not-synchronised' },
      version,
    )
    assert.deepEqual(
      found.map(({ level }) => level),
      ['warning', 'note'],
    )
  })
})

describe('of the machine', () => {
  const machine = (parts: Partial<Facts['machine']>): Facts => ({
    ...facts(),
    machine: { ...facts().machine, ...parts },
  })
  const cases: readonly [FindingId, Partial<Facts['machine']>][] = [
    ['no-net-admin', { netAdmin: false }],
    ['no-nft', { nft: null }],
    ['old-nft', { nft: '0.9.8' }],
    ['old-nft', { nft: '1.0.5' }],
    ['no-flock', { flock: false }],
    ['no-nf-tables', { nfTables: { works: false, why: 'Protocol not supported' } }],
    ['no-way-to-queue', { nfTables: { works: true, nativeQueue: false } }],
    ['queue-by-iptables', { nfTables: { works: true, nativeQueue: false }, iptablesNft: true }],
    ['no-nfnetlink-queue', { nfnetlinkQueue: false }],
    ['no-libnetfilter-queue', { libraryProblem: 'the library cannot be loaded' }],
    ['ruleset-flushed-at-start', { nftablesServiceFlushes: true }],
  ]
  for (const [id, parts] of cases) it(`${id}: ${JSON.stringify(parts)}`, () => void finds(machine(parts), id))
  for (const nft of ['1.0.6', '1.0.10', '1.1.0', '2'])
    it(`nft ${nft} is late enough`, () => void finds(machine({ nft })))
  it('what was not looked at', () => {
    const found = finds({ ...facts(), notSeen: [{ what: 'the ruleset', why: 'no right' }] }, 'not-looked-at')
    assert.equal(found.message, 'the ruleset could not be checked: no right')
  })
})

describe('of the daemon', () => {
  const running = (parts: object): Facts => ({
    ...facts(),
    daemon: { ...facts().daemon, state: 'answers', status: { ...status, ...parts } },
  })
  it('another release, another file, a changed file', () => {
    finds(running({ version: '1.0.0' }), 'daemon-other-version')
    finds(running({ config: '/elsewhere' }), 'daemon-other-configuration')
    finds(running({ configuredAt: 800 }), 'configuration-changed')
  })
  it('that it does not watch the ruleset, and why', () => {
    const unwatched = { watched: false, unwatchedBecause: 'nft monitor ended' }
    assert.match(
      finds(running(unwatched), 'ruleset-not-watched').message,
      /to the ruleset, because nft monitor ended: /,
    )
    assert.match(finds(running({ watched: false }), 'ruleset-not-watched').message, /to the ruleset: /)
  })
  it('what its fleet suffers from', () => {
    const node = { node: 'b', heardAt: Date.now(), lag: 1, clockDifference: 0, missing: 0, differsSince: null }
    const hello = { version, share: ['s'], accept: [], grants: 0, window: 60, prefixes: { s: '32/128' } }
    const results = { first: 9, claimed: 9, 'fleet-away': 0, 'fleet-late': 0, 'fleet-unsure': 0 }
    const claims = { waiting: 0, results, medianMilliseconds: 1, longestMilliseconds: 900 }
    const well = {
      ...{ version, group: 'edge', node: 'a', engine: 'connected', because: '', since: 0, share: ['s'], accept: [] },
      ...{ nodes: [{ ...node, hello }], foreignGrants: 0, ownGrants: 0, waiting: 0, dropped: 0, sent: 1, received: 1 },
      ...{ own: hello, claims },
      ...{ refused: { over: 3, 'not-accepted': 1, malformed: 1 }, nameTaken: false },
    }
    const fleet = (parts: object) => running({ fleet: { ...well, ...parts } })
    const other = (parts: object) => fleet({ nodes: [{ ...node, hello, ...parts }] })
    assert.deepEqual(checkAll(fleet({}), version), [])
    const away = finds(fleet({ engine: 'away', because: 'connect ECONNREFUSED' }), 'fleet-engine-away')
    assert.match(away.message, /and other servers do not hear of knocks here: connect ECONNREFUSED$/)
    for (const reason of ['foreign', 'group', 'overlong']) finds(fleet({ refused: { [reason]: 2 } }), 'fleet-key')
    finds(fleet({ refused: { version: 2 } }), 'fleet-version')
    finds(fleet({ refused: { future: 2 } }), 'fleet-clock')
    finds(fleet({ nameTaken: true }), 'fleet-name')
    finds(other({ hello: { ...hello, version: '0.9' } }), 'fleet-version')
    const behind = finds(other({ clockDifference: -2500 }), 'fleet-clock')
    assert.equal(behind.message, 'the clock of b is 2.5 s behind that of this server')
    finds(other({ missing: 4 }), 'fleet-messages-missing')
    finds(other({ heardAt: Date.now() - 31_000 }), 'fleet-server-silent')
    finds(other({ hello: { ...hello, window: 61 } }), 'fleet-differs')
    const prefix = finds(other({ hello: { ...hello, prefixes: { s: '24/128', more: '8/8' } } }), 'fleet-differs')
    assert.match(prefix.message, /^b grants s to prefixes of 24\/128 bits \(IPv4\/IPv6\), and this server to 32\/128$/)
    finds(other({ differsSince: Date.now() - 31_000 }), 'fleet-differs')
    assert.deepEqual(checkAll(other({ differsSince: Date.now() }), version), [])
    assert.deepEqual(checkAll(other({ hello: { ...hello, window: null, prefixes: {} } }), version), [])
    const claimed = (parts: object) => fleet({ claims: { ...claims, ...parts } })
    assert.deepEqual(checkAll(fleet({ claims: null }), version), [])
    finds(claimed({ medianMilliseconds: 251 }), 'fleet-claims')
    const refused = finds(claimed({ results: { ...results, 'fleet-away': 2, 'fleet-late': 1 } }), 'fleet-claims')
    assert.match(refused.message, /: 2 because the engine could not be asked, 1 because it did not answer in time$/)
  })
  it('that others can listen at the engine of its fleet', () => {
    const { config } = facts().configuration
    const withEngine = (parts: object): Facts => {
      const engine = { host: '192.0.2.1', port: 6379, tls: true, user: null, password: 'x', ca: null, ...parts }
      const group = { name: 'edge', key: Buffer.alloc(32) }
      const fleet = { engine, group, node: 'a', share: [], accept: [], mostPerNode: 1, longestWindowSeconds: 60 }
      return { ...facts(), configuration: { ...facts().configuration, config: { ...(config as Config), fleet } } }
    }
    assert.deepEqual(checkAll(withEngine({}), version), [])
    assert.deepEqual(checkAll(withEngine({ host: '10.0.0.1', tls: false, password: null }), version), [])
    for (const missing of [{ tls: false }, { password: null }]) finds(withEngine(missing), 'fleet-engine-open')
  })
  it('packets that were lost, and those of others', () => {
    finds(running({ queue: { ...status.queue, unanswered: 1 } }), 'queue-overflow')
    finds(running({ strayPackets: 3 }), 'queue-shared')
  })
  it('packets in the wrong minute', () => {
    const found = finds(running({ knocks: { ...status.knocks, ofOtherMinutes: 3 } }), 'wrong-minute')
    assert.match(found.message, /^3 packets of the right size/)
  })
  it('a thread of signatures that does not run, and none that does, or is not needed', () => {
    assert.match(finds(running({ signatures: 'down' }), 'signatures-down').message, /no knock that an SSH key signs/)
    for (const signatures of ['running', 'off'] as const) finds(running({ signatures }))
  })
  it('a self-test that failed, with what helps, and one that is not possible', () => {
    const selfTest = { result: 'failed', cause: 'rules', because: 'a rule eats it', at: 1, passedAt: null } as const
    const found = finds(running({ selfTest: { ...selfTest, seconds: 7, failures: 1 } }), 'self-test-failed')
    assert.match(found.message, /a rule eats it/)
    assert.match(found.advice, /a restart of pkctld does not help/)
    finds(running({ selfTest: { result: 'impossible', because: 'x' } }), 'self-test-impossible')
    for (const result of ['passed', 'off', 'waiting']) finds(running({ selfTest: { result } }))
  })
  it('a table that it could own, and no flush at boot that an owned one outlives', () => {
    const because = '/etc/nftables.conf contains that table'
    const found = finds(running({ table: { mode: 'restored', because } }), 'table-not-owned')
    assert.match(found.message, /does not own its table: .*nftables\.conf contains/)
    const flushed = { ...facts(), machine: { ...facts().machine, nftablesServiceFlushes: true } }
    finds(flushed, 'ruleset-flushed-at-start')
    const owned = { ...flushed, daemon: running({ table: { mode: 'owned' } }).daemon }
    assert.deepEqual(
      checkAll(owned, version).filter(({ id }) => id === 'ruleset-flushed-at-start' || id === 'table-not-owned'),
      [],
    )
  })
  it('nobody at the queue although it runs', () => {
    finds({ ...facts(), daemon: { ...facts().daemon, queueReader: null } }, 'queue-unread')
  })
  it('another program at the queue', () => {
    for (const name of ['suricata', null]) {
      const queueReader = { port: 7, name, isPkctld: false }
      const found = finds(
        { ...facts(), daemon: { socket: '/s', state: 'absent', queueReader } },
        'queue-taken',
        'daemon-not-running',
      )
      assert.match(found.message, name ? /process 7 \(suricata\)/ : /another program/)
    }
  })
  it('none that is needed: without credentials nobody has to listen', () => {
    const absent = { socket: '/s', state: 'absent', queueReader: null } as const
    const given = facts(
      'x: { type: pkd, key: test, opens: [s], enabled: false }',
      's: { port: 22, allow: [192.0.2.1] }',
    )
    finds({ ...given, daemon: absent, kernel: { ...(given.kernel as NonNullable<Facts['kernel']>), queue: null } })
  })
})

describe('of services', () => {
  it('nobody who opens one: a credential, an allowed prefix or a grant by hand is enough', () => {
    const two = 's: { port: 22 }\n  t: { port: 23 }'
    assert.equal(finds(facts(laptop, two), 'nobody-opens').service, 't')
    finds(facts(laptop.replace('[s]', '[s, t]'), two))
    finds(facts(laptop, two.replace('23', '23, allow: [192.0.2.1]')))
    finds(facts(laptop, two.replace('23', '23, accept: true')), 'watch-only')
  })
  it('a credential that opens what is not there', () => {
    const found = finds(facts(laptop.replace('[s]', '[s, nfs]')), 'opens-nothing')
    assert.match(found.message, /opens nfs, and there is no such service: the rest is opened/)
  })
  it('an interface that is not there, or whose packets come in by another', () => {
    const limited = (interfaces: string) => facts(laptop, `s: { port: 22, interface: ${interfaces} }`)
    finds(limited('eth0'))
    const missing = finds(limited('[eth0, "ppp*"]'), 'interface-unmatched')
    assert.match(missing.message, /there is no interface ppp\* now: by other interfaces its port is open/)
    const inside = finds(limited('eth1'), 'interface-unmatched')
    assert.match(`${inside.message}: ${inside.advice}`, /eth1 belongs to br0, by which .*name br0/)
    finds(limited('[eth1, br0]'))
    finds(limited('"eth*"'), 'interface-unmatched')
    const credential = facts(laptop.replace('tag: SSHK', 'tag: SSHK, interface: eth9'))
    assert.equal(finds(credential, 'interface-unmatched').credential, 'laptop')
    finds({ ...limited('eth9'), interfaces: null })
  })
  it('steps that come in by a link of a VRF, of which the VRF alone is named', () => {
    const vrf = { name: 'blue', master: null, isVrf: true }
    const door = (interfaces: string, hook = 'prerouting') => ({
      ...facts(
        `c: { type: sequence, sequence: [7000, 9000, 8000, 6000], opens: [s], interface: ${interfaces} }`,
        `s: { port: 22, hook: ${hook} }`,
      ),
      interfaces: [vrf, { name: 'eth1', master: 'blue' }],
    })
    const { message, advice, credential } = finds(door('blue'), 'interface-unmatched')
    assert.match(message, /knocks of credential c do not count by eth1, a link of the VRF blue/)
    assert.deepEqual([advice, credential], ['name blue and eth1', 'c'])
    finds(door('[blue, eth1]'))
    finds(door('blue', 'input'))
    finds({
      ...door('blue'),
      interfaces: [
        { ...vrf, isVrf: false },
        { name: 'eth1', master: 'blue' },
      ],
    })
  })
  it('steps to addresses of a VRF, before Linux 6.16', () => {
    const door = (release: string, { hook = 'prerouting', interfaces = '' } = {}): Facts => {
      const found = facts(
        `c: { type: sequence, sequence: [7000, 9000, 8000, 6000], opens: [s]${interfaces} }`,
        `s: { port: 22, hook: ${hook} }`,
      )
      const vrf = { name: 'blue', master: null, isVrf: true }
      return {
        ...found,
        machine: { ...found.machine, release },
        interfaces: [vrf, { name: 'eth1', master: 'blue' }, { name: 'eth0', master: null }],
      }
    }
    for (const release of ['6.15.9-amd64', '6.1.0', '5.19.2']) {
      const { message, credential } = finds(door(release), 'interface-unmatched')
      assert.match(message, /knocks of credential c by eth1, a link of the VRF blue, count only to addresses of eth1/)
      assert.equal(credential, 'c')
    }
    finds(door('6.1.0', { interfaces: ', interface: [blue, eth1]' }), 'interface-unmatched')
    finds(door('6.1.0', { interfaces: ', interface: eth0' }))
    finds(door('6.1.0', { hook: 'input' }))
    for (const release of ['6.16.0-rc1', '7.0.1', 'unknown']) finds(door(release))
    const { message } = finds(door('6.1.0'), 'interface-unmatched')
    assert.match(message, /Linux is older than 6\.16/)
    const alone = door('6.1.0')
    finds({ ...alone, interfaces: [{ name: 'blue', master: null, isVrf: true }] })
  })
  it('prefixes of a grant, for the session', () => {
    const session = (address: string, services: string): Facts => ({
      ...facts(laptop, services),
      session: { version: address.includes(':') ? 6 : 4, address, localAddress: '', port: 22 },
    })
    finds(session('198.51.100.9', 's: { port: 22 }'), 'session-shut-out')
    finds(session('198.51.100.9', 's: { port: 22, allow: [198.51.100.0/24] }'))
    finds(session('198.51.101.9', 's: { port: 22, allow: [198.51.100.0/24] }'), 'session-shut-out')
    finds(session('2001:db8::9', "s: { port: 22, allow: ['2001:db8::/32'] }"))
    finds(session('2001:db9::9', "s: { port: 22, allow: ['2001:db8::/32'] }"), 'session-shut-out')
    finds(session('198.51.100.9', 's: { port: 2222 }'))
    const filtered = session('198.51.100.9', 's: { port: 22, interface: [wg0] }')
    const by = (name: string): Facts => ({
      ...filtered,
      interfaces: [{ name: 'wg0', master: null }],
      session: filtered.session && { ...filtered.session, interfaces: [name] },
    })
    finds(by('eth0'))
    finds(by('wg0'), 'session-shut-out')
  })
})

describe('of credentials', () => {
  const pkd = (more: string, key = goodKey) => `c: { type: pkd, tag: X, key: '${key}', opens: [s], ${more} }`
  const steps = (more: string) => `c: { type: sequence, opens: [s], ${more} }`
  const rotating = (more: string, secret = 'correct horse battery staple') =>
    `c: { type: rotating, open-secret: '${secret}', opens: [s], ${more} }`
  const cases: readonly [string, ...FindingId[]][] = [
    [pkd('skew: 30')],
    [pkd('', 'test'), 'weak-key'],
    [pkd('', '123456789012345'), 'weak-key'],
    [pkd('', 'aaaaaaaaaaaaaaaaaaaaaaaa'), 'weak-key'],
    [pkd('', '0x000102030405060708090a0b0c0d0e0f10'), 'weak-key'],
    [pkd('', 'correcthcorrecthcorrecth'), 'weak-key'],
    [pkd('', 'correct horse battery staple')],
    [pkd('skew: -1'), 'any-clock'],
    [pkd('rate: none'), 'no-rate'],
    [pkd('enabled: false, skew: -1, rate: none'), 'nobody-opens'],
    [pkd('obo: true, obo-prefixes: [192.0.2.0/24]')],
    [pkd('obo: true, obo-prefixes: [0.0.0.0/0]'), 'obo-everywhere'],
    [pkd("obo: true, obo-prefixes: ['::/0']"), 'obo-everywhere'],
    [pkd('window: unlimited'), 'unlimited-window'],
    [pkd("on-open: { shell: 'logger x' }"), 'shell-trigger'],
    [pkd("on-expiry: { command: [], shell6: 'logger x' }"), 'shell-trigger'],
    [pkd('on-open: { command: [/bin/true] }')],
    [steps('sequence: [7000, 9000, 8000, 6000]')],
    [steps('sequence: [7000, 8000, 9000]'), 'ascending-sequence'],
    [steps('sequence: [9000, 8000]'), 'short-sequence'],
    [steps('sequence: [9000, 8000, 9000, 8000]'), 'short-sequence'],
    [rotating('')],
    [rotating('', 'secret'), 'weak-secret'],
    [rotating("close-secret: 'secret'"), 'weak-secret'],
    [rotating('digest: md5'), 'md5-digest'],
    [rotating('range: 1000-1008'), 'small-range'],
    [rotating('grace: 300')],
    [rotating('grace: 301'), 'long-grace'],
  ]
  for (const [credential, ...wanted] of cases) {
    it(`${wanted.join(', ') || 'nothing'}: ${credential}`, () => {
      finds(facts(credential), ...wanted)
    })
  }
  it('very short keys are an error', () => {
    assert.equal(finds(facts(pkd('', 'seven b')), 'weak-key').level, 'error')
    assert.equal(finds(facts(pkd('', 'eight by')), 'weak-key').level, 'warning')
  })
  it('a long key or secret that is easy to guess: it says why', () => {
    for (const [key, why] of [
      ['aaaaaaaaaaaaaaaaaaaaaaaa', 'it has few different bytes'],
      ['correct horse correct horse', 'its bytes follow a pattern'],
      ['0x000102030405060708090a0b0c0d0e0f10', 'its bytes follow a pattern'],
    ] as const) {
      assert.equal(finds(facts(pkd('', key)), 'weak-key').message, `the key of c is long but easy to guess: ${why}`)
    }
    const { message } = finds(facts(rotating('', 'correct horse correct horse')), 'weak-secret')
    assert.match(
      message,
      /^the secret of the \S+ sequence of c is long but easy to guess, because its bytes follow a pat/,
    )
  })
  it('one tag for many', () => {
    const many = (count: number) =>
      Array.from({ length: count }, (_, i) => `c${i}: { type: pkd, key: '${goodKey}0${i}', opens: [s] }`).join('\n  ')
    finds(facts(many(4)))
    assert.match(finds(facts(many(5)), 'shared-tag').message, /5 credentials have the tag PKD0, the default/)
  })
  it('lists of one-time sequences', () => {
    const given = facts()
    const config = given.configuration.config as NonNullable<Facts['configuration']['config']>
    const { type: _type, ...common } = (
      facts(steps('sequence: [7000, 9000, 8000]')).configuration.config as typeof config
    ).credentials[0] as Extract<(typeof config.credentials)[number], { type: 'sequence' }>
    const withLines = (...lines: string[]): Facts => ({
      ...given,
      configuration: {
        ...given.configuration,
        config: { ...config, credentials: [{ ...common, type: 'one-time', file: '/etc/pkctl/lines' }] },
        oneTime: new Map([['c', lines.map(line => line.split(',').map(parseStep))]]),
      },
    })
    const good = '7000,9000,8000'
    finds(withLines(good, good, good, good, good))
    assert.equal(finds(withLines(good, good, good, good), 'few-sequences').level, 'warning')
    assert.equal(finds(withLines(), 'few-sequences').level, 'error')
    assert.match(finds(withLines(good, good, good, good, '1,2,3'), 'ascending-sequence').message, /5\. of those left/)
  })
})

describe('of the clock', () => {
  const cases: readonly [ClockState, string, ...FindingId[]][] = [
    ['not-synchronised', laptop, 'clock-unsynchronised'],
    ['unknown', laptop, 'clock-unknown'],
    ['unknown', laptop.replace('opens', 'skew: -1, opens'), 'any-clock'],
    ['not-synchronised', 'c: { type: sequence, sequence: [7000, 9000, 8000], opens: [s] }'],
    [
      'not-synchronised',
      "c: { type: rotating, open-secret: 'correct horse battery staple', opens: [s] }",
      'clock-unsynchronised',
    ],
  ]
  for (const [clock, credential, ...wanted] of cases) {
    it(`${clock} with ${credential}`, () => {
      finds({ ...facts(credential), clock }, ...wanted)
    })
  }
})

describe('of files', () => {
  const cases: readonly [string, Partial<FileFacts> & { mode: number }, ...FindingId[]][] = [
    ['a key of mode 0600', { mode: 0o600 }],
    ['a key of mode 0640', { mode: 0o640 }, 'secrets-readable'],
    ["one for another group than the daemon's", { mode: 0o640, gid: 5 }, 'secrets-readable'],
    ["one for the daemon's", { mode: 0o640, gid: 999 }],
    ["one for the daemon's, and all others", { mode: 0o644, gid: 999 }, 'secrets-readable'],
    ['a configuration of mode 0644', { mode: 0o644, what: 'configuration' }],
    ['one with secrets', { mode: 0o644, what: 'configuration', holdsSecrets: true }, 'secrets-readable'],
    ['one with secrets for a group', { mode: 0o640, what: 'configuration', holdsSecrets: true }],
    ['sequences of mode 0644', { mode: 0o644, what: 'sequences' }, 'secrets-readable'],
    ['a state directory of mode 0755', { mode: 0o040755, what: 'state' }, 'state-readable'],
    ['a file of mode 0622', { mode: 0o622, what: 'configuration' }, 'file-writable'],
    ["a group's file of mode 0660", { mode: 0o660, gid: 5, what: 'configuration' }, 'file-writable'],
    ["root's group", { mode: 0o660, what: 'configuration' }],
    ["somebody's file", { mode: 0o600, uid: 5 }, 'file-writable'],
    ['a socket for a group', { mode: 0o140660, gid: 5, what: 'socket' }],
    ['a socket for all', { mode: 0o140666, gid: 5, what: 'socket' }, 'socket-open-to-all'],
    ["somebody's program", { mode: 0o755, uid: 5, what: 'program' }, 'program-writable'],
    ['a program that is not there', { mode: 0o644, what: 'program', usable: false }, 'program-missing'],
  ]
  for (const [name, parts, ...wanted] of cases) {
    it(name, () => {
      finds({ ...facts(), files: [file(parts)] }, ...wanted)
    })
  }
  it('what the service cannot write: of the log, a warning', () => {
    const one = { option: 'log.to', path: '/x', effect: 'it logs to the journal instead', advice: 'use another' }
    const unwritable = (isFatal: boolean): Facts => ({
      ...facts(),
      configuration: { ...facts().configuration, unwritable: [{ ...one, isFatal }] },
    })
    assert.equal(finds(unwritable(false), 'path-unwritable').level, 'warning')
    assert.equal(finds(unwritable(true), 'path-unwritable').level, 'error')
  })
  it('what the service cannot read', () => {
    const one = { path: '/x/key', shut: '/x', advice: 'copy it' }
    const { message } = finds(
      { ...facts(), configuration: { ...facts().configuration, hidden: [one] } },
      'path-unreadable',
    )
    assert.match(message, /cannot read \/x$/)
  })
  it("the daemon's own user may own what it uses", () => {
    finds({ ...facts(), trusted: [0, 5], files: [file({ mode: 0o600, uid: 5 })] })
  })
  for (const what of ['state', 'sequences'] as const) {
    it(`what another user owns and the daemon writes is not taken away from it: ${what}`, () => {
      const { advice } = finds(
        { ...facts(), files: [file({ mode: what === 'state' ? 0o040700 : 0o600, uid: 5, what })] },
        'file-writable',
      )
      assert.equal(advice, 'if pkctld runs as another user, chown it to that user')
    })
  }
  it("a file of root's in the state directory of another user, which that one cannot write", () => {
    const inside = ['replays', 'due'].map((name, i) => ({ path: `/v/${name}`, mode: 0o100600, uid: i * 5, gid: 0 }))
    const directory = { mode: 0o040700, uid: 5, gid: 6, what: 'state' as const, path: '/v', inside }
    const { path, advice } = finds({ ...facts(), trusted: [0, 5], files: [file(directory)] }, 'state-not-writable')
    assert.equal(path, '/v/replays')
    assert.match(advice, /chown -h 5:6 \/v\/replays/)
  })
  it('a directory above several files is said once', () => {
    const components = [{ path: '/tmp', mode: 0o040777, uid: 0, gid: 0 }]
    finds(
      { ...facts(), files: [file({ mode: 0o600, components }), file({ mode: 0o600, path: '/y', components })] },
      'file-writable',
    )
  })
})

describe('the catalogue', () => {
  const textOf = (name: string) => fs.readFileSync(path.join(root, name), 'utf8')

  it('stands in docs/doctor.md, whole, with its levels', () => {
    const rows = [...textOf('docs/doctor.md').matchAll(/^\| `([a-z0-9-]+)` +\| ([a-z, ]+?) +\|/gm)]
    assert.deepEqual(
      rows.map(([, id]) => id),
      Object.keys(catalogue),
    )
    for (const [, id = '', levels = ''] of rows) {
      assert.ok(levels.split(', ').includes(catalogue[id as FindingId]), id)
    }
  })

  it('is what tests make appear', () => {
    const integration = fs.readdirSync(path.join(root, 'test/integration')).filter(name => name.startsWith('doctor'))
    const tests = ['test/unit/doctor/doctor.test.ts', ...integration.map(name => `test/integration/${name}`)]
    const text = tests.map(textOf).join('\n')
    const untested = Object.keys(catalogue).filter(id => !text.includes(`'${id}'`))
    assert.deepEqual(untested, [])
  })
})
