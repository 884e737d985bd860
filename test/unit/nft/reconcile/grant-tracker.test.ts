import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import type { ListedElement, Listing } from '../../../../src/nft/listing.js'
import { emptyListing } from '../../../../src/nft/listing.js'
import { GrantTracker } from '../../../../src/nft/reconcile/grant-tracker.js'
import { MonitorReader } from '../../../../src/nft/reconcile/nft-monitor.js'
import { RecentGrants } from '../../../../src/nft/reconcile/recent-grants.js'
import type { GrantAction } from '../../../../src/nft/table/packet-path-spec.js'
import { endsPlan, marks, service, ssh } from '../../../support/firewall-tools.js'

const once = service('once', { singleUse: true })
const masked = service('wide', { prefix4: 24, prefix6: 64 })
const all = [ssh, once, masked]
const plan = (number: number, seconds: number, services = [ssh], revokes = false): GrantAction => ({
  ...endsPlan,
  number,
  revokes,
  grants: services.map(service => ({ service, seconds })),
})
const four = Buffer.from([192, 0, 2, 7])
const six = Buffer.from('20010db8000000000000000000000007', 'hex')
const listing = (name: string, ...elements: ListedElement[]): Listing => ({
  ...emptyListing(),
  sets: new Map([[name, { name, elements }]]),
})
/** One address for each number. */
const address = (number: number) => `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`
/** More than are kept of anything. */
const tooMany = 270_000

describe('GrantBook', () => {
  let now: number
  let recent: RecentGrants
  let tracker: GrantTracker
  const answer = (number: number, source = four) =>
    recent.note(source.length === 4 ? 4 : 6, source, 0, marks.action(number) + 0x77, now)
  const happens = (...lines: string[]) => {
    const reader = new MonitorReader({ transaction: one => tracker.follow(one), deleted: () => undefined })
    for (const line of [...lines, '# new generation 2 by process 1 (nft)']) reader.line(line)
  }
  /** For so many addresses of a set, some thousands in each transaction: what `verbs` say, one after the other. */
  const happenMany = (count: number, verbs: string[], set: string, timeout: number | null = null) => {
    const atOnce = 10_000
    for (let from = 0; from < count; from += atOnce) {
      const elements = Array.from({ length: atOnce }, (_, i) => ({
        value: address(from + i),
        timeout,
        expires: timeout,
      }))
      const what = { kind: 'element', family: 'inet', table: 'pkctl', name: set, elements }
      tracker.follow({ events: verbs.map(verb => ({ verb, ...what })), by: '', lost: false })
    }
  }
  const running = () =>
    tracker
      .running(all)
      .map(({ set, source, life }) => `${set} ${source} ${life ? `${life.left} of ${life.timeout}` : 'for ever'}`)

  beforeEach(() => {
    now = 999
    recent = new RecentGrants()
    tracker = new GrantTracker(marks, () => now, recent)
    tracker.takeOver(emptyListing(), now)
    now = 1000
    tracker.useActions([plan(1, 60), plan(2, 60, [ssh], true), plan(3, 30, [once]), plan(4, 40, [ssh, masked])])
  })

  it('knows what the packet path granted, and for how long it still lives', () => {
    answer(1)
    answer(1, six)
    now += 20.4
    assert.deepEqual(running(), ['pk-ssh-6 2001:db8::7 39 of 60', 'pk-ssh-4 192.0.2.7 39 of 60'])
    now += 39
    assert.deepEqual(running(), [], 'less than a second left')
  })

  it('counts the latest answer, also when it gave less, or took back', () => {
    answer(1)
    now += 5
    answer(4)
    assert.deepEqual(running(), ['pk-ssh-4 192.0.2.7 40 of 40', 'pk-wide-4 192.0.2.0 40 of 40'])
    now += 5
    answer(2)
    assert.deepEqual(running(), ['pk-wide-4 192.0.2.0 35 of 40'])
  })

  it('knows grants without end, and more that come with a new service', () => {
    tracker.useActions([plan(5, Infinity)])
    answer(5)
    happens('add set inet pkctl pk-wide.add-4 { type ipv4_addr; }', 'add element inet pkctl pk-wide.add-4 { 10.0.0.0 }')
    now += 1e6
    assert.deepEqual(running(), ['pk-ssh-4 192.0.2.7 for ever', 'pk-wide.add-4 10.0.0.0 for ever'])
  })

  it('does not know who has used up what', () => {
    answer(3)
    happens('add element inet pkctl pk-once.add-4 { 192.0.2.1 }')
    assert.deepEqual(running(), [])
  })

  it('takes a number for what it meant at the time', () => {
    answer(1)
    now += 1
    tracker.useActions([plan(1, 600, [masked])])
    now += 1
    for (let i = 0; i < 20; i++) tracker.useActions([plan(1, 600, [masked])])
    assert.deepEqual(running(), ['pk-ssh-4 192.0.2.7 58 of 60'])
  })

  it('follows commands: grants by hand, and what was deleted', () => {
    happens('add element inet pkctl pk-ssh.add-4 { 192.0.2.1 timeout 1h expires 10s500ms }')
    happens('add element inet pkctl pk-ssh.add-6 { 2001:db8::1 }', 'add element inet pkctl pk-ssh.allow-4 { 10.0.0.1 }')
    answer(1)
    now += 1
    assert.deepEqual(running(), [
      'pk-ssh-4 192.0.2.7 59 of 60',
      'pk-ssh.add-4 192.0.2.1 9 of 3600',
      'pk-ssh.add-6 2001:db8::1 for ever',
    ])
    happens('delete element inet pkctl pk-ssh-4 { 192.0.2.7 timeout 1m expires 59s }')
    happens('delete element inet pkctl pk-ssh.add-6 { 2001:db8::1 }')
    assert.deepEqual(running(), ['pk-ssh.add-4 192.0.2.1 9 of 3600'])
    now += 1
    answer(1)
    assert.equal(running().length, 2, 'granted again')
    happens('delete set inet pkctl pk-ssh-4')
    assert.equal(running().length, 1)
  })

  it('knows what grants say of themselves, of commands and of a listing', () => {
    happens('add element inet pkctl pk-ssh.add-4 { 192.0.2.1 timeout 1h expires 1h comment "why 10.0.0.1" }')
    const comments = () => tracker.running(all).map(({ source, comment }) => `${source} ${comment}`)
    assert.deepEqual(comments(), ['192.0.2.1 why 10.0.0.1'])
    now += 1
    tracker.takeOver(listing('pk-ssh.add-4', { value: '192.0.2.2', comment: 'other' }, { value: '192.0.2.3' }), now)
    assert.deepEqual(comments(), ['192.0.2.2 other', '192.0.2.3 undefined'])
  })

  it('goes through a flush of everything, and does not believe what comes with the table', () => {
    happens('add element inet pkctl pk-ssh.add-4 { 192.0.2.1 }')
    happens('delete set inet pkctl pk-ssh.add-4', 'delete table inet pkctl')
    happens('add table inet pkctl', 'add element inet pkctl pk-ssh.add-4 { 192.0.2.9 }')
    assert.deepEqual(running(), ['pk-ssh.add-4 192.0.2.1 for ever'])
  })

  it('takes over what a listing shows, but for what was deleted while it was made', () => {
    answer(1)
    happens('add element inet pkctl pk-ssh.add-4 { 192.0.2.1 }')
    now += 1
    const startedAt = now
    now += 1
    happens('delete element inet pkctl pk-ssh-4 { 192.0.2.8 }')
    const elements = [8, 9].map(last => ({ value: `192.0.2.${last}`, timeout: 60, expires: 50 }))
    tracker.takeOver(listing('pk-ssh-4', ...elements), startedAt)
    assert.deepEqual(running(), ['pk-ssh-4 192.0.2.9 49 of 60'])
  })

  it('keeps what was given while the listing was made', () => {
    happens('add element inet pkctl pk-ssh.add-4 { 192.0.2.1, 192.0.2.5 }')
    now += 1
    const startedAt = now
    happens('add element inet pkctl pk-ssh.add-4 { 192.0.2.2 }')
    now += 1
    happens('delete element inet pkctl pk-ssh.add-4 { 192.0.2.3 timeout 1m expires 5s }')
    happens('add element inet pkctl pk-ssh.add-4 { 192.0.2.3 timeout 1h }')
    happens(
      'add element inet pkctl pk-ssh.add-6 { 2001:db8::1 }',
      'add element inet pkctl pk-ssh.add-6 { 2001:db8::2 }',
    )
    happens('delete element inet pkctl pk-ssh.add-6 { 2001:db8::2 }')
    const before = { value: '192.0.2.3', timeout: 60, expires: 5 }
    tracker.takeOver(listing('pk-ssh.add-4', before, { value: '192.0.2.4' }, { value: '192.0.2.5' }), startedAt)
    now += 1
    assert.deepEqual(running().sort(), [
      'pk-ssh.add-4 192.0.2.2 for ever',
      'pk-ssh.add-4 192.0.2.3 3599 of 3600',
      'pk-ssh.add-4 192.0.2.4 for ever',
      'pk-ssh.add-4 192.0.2.5 for ever',
      'pk-ssh.add-6 2001:db8::1 for ever',
    ])
  })

  const hours = { timeout: 28_800, expires: 28_000 }
  const source = '192.0.2.7'
  const longLives: readonly (readonly [string, () => void])[] = [
    ['hours, listed', () => tracker.takeOver(listing('pk-ssh-4', { value: source, ...hours }), now)],
    ['no end, listed', () => tracker.takeOver(listing('pk-ssh-4', { value: source }), now)],
    ['hours, put back', () => happens(`add element inet pkctl pk-ssh-4 { ${source} timeout 8h expires 7h }`)],
    ['no end, put back', () => happens(`add element inet pkctl pk-ssh-4 { ${source} }`)],
  ]
  for (const [life, give] of longLives) {
    for (const [knock, number] of [
      ['closed', 2],
      ['renewed for less', 1],
    ] as const) {
      it(`does not forget that a knock ${knock} what had more time than any plan gives: ${life}`, () => {
        give()
        now += 1
        assert.equal(running().length, 1)
        answer(number)
        now += 3600
        assert.deepEqual(running(), [])
      })
    }
  }

  it('does not count what a knock may have closed that is forgotten', () => {
    const sets = ['pk-ssh-4', 'pk-ssh.add-4'].map(name => [name, { name, elements: [{ value: source }] }] as const)
    tracker.takeOver({ ...emptyListing(), sets: new Map(sets) }, now)
    now += 1
    answer(2)
    now += 1
    for (let i = 0; i < 250_000; i++) answer(3)
    assert.deepEqual(running(), ['pk-ssh.add-4 192.0.2.7 for ever'], 'not forgotten yet')
    for (let i = 0; i < 20_000; i++) answer(3)
    assert.deepEqual(running(), ['pk-ssh.add-4 192.0.2.7 for ever'])
    now += 1
    happens('add element inet pkctl pk-ssh-4 { 192.0.2.8 }')
    assert.equal(running().length, 2, 'what came after the oldest answer counts')
  })

  it('does not count what a knock may have closed whose plan is forgotten', () => {
    tracker.takeOver(listing('pk-ssh-4', { value: source }), now)
    now += 1
    answer(2)
    for (let seconds = 1; seconds < 10; seconds++) {
      now += 1
      tracker.useActions([plan(2, seconds)])
    }
    assert.deepEqual(running(), [])
  })

  it('forgets nothing by grants by hand that come and go, however many', () => {
    happens('add element inet pkctl pk-ssh.add-4 { 192.0.2.1 }')
    now += 1
    // As `pkctl add` does it; no more than 10,000 are there at any time.
    for (let round = 0; round < 27; round++) happenMany(10_000, ['add', 'delete', 'add'], 'pk-ssh.add-4', 3600)
    assert.equal(tracker.running([ssh]).length, 10_001)
    for (let round = 0; round < 27; round++) happenMany(10_000, ['delete'], 'pk-ssh.add-4')
    happens('delete element inet pkctl pk-ssh.add-4 { 192.0.2.2 }')
    assert.deepEqual(running(), ['pk-ssh.add-4 192.0.2.1 for ever'])
  })

  it('forgets nothing by what was deleted from sets that went', () => {
    happens('add element inet pkctl pk-ssh.add-4 { 192.0.2.1 }')
    for (let round = 0; round < 3; round++) {
      now += 1
      happenMany(100_000, ['delete'], 'pk-wide.add-4')
      happens('delete set inet pkctl pk-wide.add-4')
    }
    assert.deepEqual(running(), ['pk-ssh.add-4 192.0.2.1 for ever'])
  })

  it('forgets all that was given before when too much was deleted', () => {
    happenMany(tooMany, ['add'], 'pk-ssh.add-4')
    answer(1)
    now += 1
    happenMany(tooMany, ['delete'], 'pk-wide.add-4')
    assert.deepEqual(running(), [])
    now += 1
    happens('add element inet pkctl pk-ssh.add-4 { 192.0.2.2 }')
    assert.deepEqual(running(), ['pk-ssh.add-4 192.0.2.2 for ever'])
  })

  it('has room for new grants when old ones have ended', () => {
    happens('add element inet pkctl pk-ssh.add-4 { 192.0.2.1 }')
    happenMany(tooMany, ['add'], 'pk-ssh.add-4', 10)
    assert.equal(tracker.running([ssh]).length, 262_144)
    now += 5
    happens('add element inet pkctl pk-ssh.add-4 { 192.0.2.2 }')
    assert.equal(tracker.running([ssh]).length, 262_144, 'no room while all run')
    now += 5
    happens('add element inet pkctl pk-ssh.add-4 { 192.0.2.3 }')
    assert.deepEqual(running(), ['pk-ssh.add-4 192.0.2.1 for ever', 'pk-ssh.add-4 192.0.2.3 for ever'])
  })

  it('brings no older knock back when it makes room', () => {
    tracker.useActions([plan(1, 600)])
    answer(1)
    now += 1
    happens(
      'delete element inet pkctl pk-ssh-4 { 192.0.2.7 timeout 10m }',
      'add element inet pkctl pk-ssh-4 { 192.0.2.7 timeout 5s }',
    )
    happenMany(tooMany, ['add'], 'pk-ssh.add-4', 5)
    now += 10
    happens('add element inet pkctl pk-ssh.add-4 { 192.0.2.2 }')
    assert.deepEqual(running(), ['pk-ssh.add-4 192.0.2.2 for ever'])
  })

  it('knows of nothing while it may have missed something', () => {
    answer(1)
    happens('# ERROR: We lost some netlink events!')
    assert.deepEqual(running(), [])
    happens('add element inet pkctl pk-ssh.add-4 { 192.0.2.1 }')
    assert.deepEqual(running(), [])
    now += 1
    tracker.takeOver(emptyListing(), now)
    assert.deepEqual(running(), [])
    answer(1)
    assert.equal(running().length, 1)
  })

  it('forgets the oldest when there are too many', () => {
    for (let i = 0; i < 300_000; i++) {
      four.writeUInt32BE(i + 1, 0)
      answer(1)
    }
    const grants = tracker.running([ssh])
    assert.ok(grants.length > 250_000 && grants.length < 262_145)
    assert.equal(grants[0]?.source, '0.4.147.224')
    assert.equal(tracker.running([ssh], 500).length, 500)
    four.set([192, 0, 2, 7])
  })
})
