import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { maskAddress } from '../../../src/controller/config/values.js'
import { GrantBook } from '../../../src/nft/grantbook.js'
import { emptyListing } from '../../../src/nft/listing.js'
import { MonitorReader } from '../../../src/nft/monitor.js'
import type { Plan } from '../../../src/nft/queueing.js'
import { RecentAnswers } from '../../../src/nft/recent.js'
import { endsPlan, marks, service, ssh } from '../../support/firewall-tools.js'

const once = service('once', { singleUse: true })
const masked = service('wide', { prefix4: 24, prefix6: 64 })
const all = [ssh, once, masked]
const plan = (number: number, seconds: number, services = [ssh], revokes = false): Plan => ({
  ...endsPlan,
  number,
  revokes,
  grants: services.map(service => ({ service, seconds })),
})
const four = Buffer.from([192, 0, 2, 7])
const six = Buffer.from('20010db8000000000000000000000007', 'hex')

describe('GrantBook', () => {
  let now: number
  let recent: RecentAnswers
  let book: GrantBook
  const answer = (number: number, source = four) =>
    recent.note(source.length === 4 ? 4 : 6, source, 0, marks.plan(number) + 0x77, now)
  const happens = (...lines: string[]) => {
    const reader = new MonitorReader(transaction => book.follow(transaction))
    for (const line of [...lines, '# new generation 2 by process 1 (nft)']) reader.line(line)
  }
  const running = () =>
    book
      .running(all)
      .map(({ set, source, life }) => `${set} ${source} ${life ? `${life.left} of ${life.timeout}` : 'for ever'}`)

  beforeEach(() => {
    now = 999
    recent = new RecentAnswers()
    book = new GrantBook(
      marks,
      (address, _, length) => maskAddress(address, length),
      () => now,
      recent,
    )
    book.takeOver(emptyListing(), now)
    now = 1000
    book.usePlans([plan(1, 60), plan(2, 60, [ssh], true), plan(3, 30, [once]), plan(4, 40, [ssh, masked])])
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
    book.usePlans([plan(5, Infinity)])
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
    book.usePlans([plan(1, 600, [masked])])
    now += 1
    for (let i = 0; i < 20; i++) book.usePlans([plan(1, 600, [masked])])
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
    const elements = [
      { value: '192.0.2.8', timeout: 60, expires: 50 },
      { value: '192.0.2.9', timeout: 60, expires: 50 },
    ]
    book.takeOver({ ...emptyListing(), sets: new Map([['pk-ssh-4', { name: 'pk-ssh-4', elements }]]) }, startedAt)
    assert.deepEqual(running(), ['pk-ssh-4 192.0.2.9 49 of 60'])
  })

  it('knows of nothing while it may have missed something', () => {
    answer(1)
    happens('# ERROR: We lost some netlink events!')
    assert.deepEqual(running(), [])
    happens('add element inet pkctl pk-ssh.add-4 { 192.0.2.1 }')
    assert.deepEqual(running(), [])
    now += 1
    book.takeOver(emptyListing(), now)
    assert.deepEqual(running(), [])
    answer(1)
    assert.equal(running().length, 1)
  })

  it('forgets the oldest when there are too many', () => {
    for (let i = 0; i < 300_000; i++) {
      four.writeUInt32BE(i + 1, 0)
      answer(1)
    }
    const grants = book.running([ssh])
    assert.ok(grants.length > 250_000 && grants.length < 262_145)
    assert.equal(grants[0]?.source, maskAddress('0.4.147.224', 32))
    assert.equal(book.running([ssh], 500).length, 500)
    four.set([192, 0, 2, 7])
  })
})
