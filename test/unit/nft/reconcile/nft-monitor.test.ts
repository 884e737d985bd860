import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { RulesetTransaction } from '../../../../src/nft/reconcile/nft-monitor.js'
import { MonitorReader, parseEvent } from '../../../../src/nft/reconcile/nft-monitor.js'

function read(text: string): RulesetTransaction[] {
  const transactions: RulesetTransaction[] = []
  const reader = new MonitorReader({ transaction: one => transactions.push(one), deleted: () => undefined })
  for (const line of text.split('\n')) reader.line(line)
  return transactions
}

describe('nft monitor, read', () => {
  it('tells of a deleted table before the transaction has ended', () => {
    const told: string[] = []
    const reader = new MonitorReader({ transaction: () => told.push('end'), deleted: () => told.push('deleted') })
    for (const table of ['inet geo', 'ip pkctl', 'inet pkctl']) reader.line(`delete table ${table}`)
    assert.deepEqual(told, ['deleted'])
    reader.line('add element inet geo b { 192.0.2.0/24 }')
    reader.line('# new generation 4 by process 7 (nft)')
    assert.deepEqual(told, ['deleted', 'end'])
  })

  const lines: readonly (readonly [string, string | undefined])[] = [
    ['delete table inet pkctl', 'delete table inet pkctl '],
    ['add table inet pkctl { flags dormant; }', 'add table inet pkctl '],
    ['delete rule inet pkctl pk-ssh handle 6', 'delete rule inet pkctl pk-ssh'],
    ['delete chain inet pkctl pk-ssh handle 6', 'delete chain inet pkctl pk-ssh'],
    ['destroy set inet pkctl pk-ssh-4', 'destroy set inet pkctl pk-ssh-4'],
    ['insert rule ip mangle INPUT meta mark 1 counter packets 0 bytes 0 queue', 'insert rule ip mangle INPUT'],
    ['add rule inet pkctl c counter comment "delete table inet pkctl"', 'add rule inet pkctl c'],
    ['trace id 21e1f07d inet filter input packet: iif "lo"', undefined],
    ['rule without statements?!', undefined],
    ['', undefined],
  ]
  for (const [line, want] of lines) {
    it(`line: ${line}`, () => {
      const event = parseEvent(line)
      assert.equal(event && `${event.verb} ${event.kind} ${event.family} ${event.table} ${event.name}`, want)
    })
  }

  const elements: readonly (readonly [string, unknown])[] = [
    ['{ 192.0.2.1 }', [{ value: '192.0.2.1', timeout: null, expires: null }]],
    ['{ 192.0.2.1 timeout 1m40s expires 39s984ms }', [{ value: '192.0.2.1', timeout: 100, expires: 39.984 }]],
    ['{ 2001:db8::7 timeout 1d2h }', [{ value: '2001:db8::7', timeout: 93_600, expires: 93_600 }]],
    [
      '{ 192.0.2.1 comment "of 192.0.2.9, timeout 5s", 192.0.2.2 timeout 5s expires 4s }',
      [
        { value: '192.0.2.1', timeout: null, expires: null, comment: 'of 192.0.2.9, timeout 5s' },
        { value: '192.0.2.2', timeout: 5, expires: 4 },
      ],
    ],
    ['{ tcp . 22 : goto pk-ssh }', []],
  ]
  for (const [text, want] of elements) {
    it(`elements: ${text}`, () => {
      assert.deepEqual(parseEvent(`add element inet pkctl pk-ssh.add-4 ${text}`)?.elements, want)
    })
  }

  it('leaves the elements of others unread', () => {
    assert.deepEqual(parseEvent('add element inet other pk-ssh-4 { 192.0.2.1 }')?.elements, [])
  })

  it('puts lines together to transactions, with the process that made each', () => {
    const [first, second, ...rest] = read(
      'delete table inet pkctl\ndelete table ip nat\n# new generation 8 by process 5589 (nft)\nadd table inet x\n# new generation 9\nadd',
    )
    assert.deepEqual([first?.events.length, first?.by, first?.lost], [2, 'process 5589 (nft)', false])
    assert.deepEqual([second?.events.length, second?.by], [1, ''])
    assert.deepEqual(rest, [])
  })

  it('takes from a mixed stream what each line alone says, without the repetitions of others', () => {
    const tables = ['inet pkctl', 'inet pkctl2', 'ip pkctl', 'inet geo', 'ip geo']
    const lines = Array.from({ length: 3000 }, (_, i) => {
      const verb = ['add', 'delete'][(i >> 4) % 2]
      const table = tables[(i >> 2) % tables.length]
      if (i % 97 === 0) return `# new generation ${i} by process 7 (nft)`
      if (i % 31 === 0) return `${verb} table ${table}`
      return `${verb} ${i % 5 === 0 ? 'rule' : 'element'} ${table} s${i % 3} { 192.0.2.${i % 256} }`
    })
    const want = lines
      .join('\n')
      .split(/^# new generation .*$/m)
      .slice(0, -1)
    const expected = want.map(text => {
      const seen = new Set<string>()
      return text.split('\n').flatMap(line => {
        const event = parseEvent(line)
        if (!event) return []
        const what = `${event.verb} ${event.kind} ${event.family} ${event.table}`
        const isAgain = seen.has(what) && `${event.family} ${event.table}` !== 'inet pkctl'
        seen.add(what)
        return isAgain ? [] : [event]
      })
    })
    assert.deepEqual(
      read(lines.join('\n')).map(({ events }) => events),
      expected,
    )
  })

  it('says when more happened than could be read', () => {
    const [only] = read('# ERROR: We lost some netlink events!')
    assert.equal(only?.lost, true)
    const line = 'delete rule inet pkctl x handle 4\n'
    const many = read(`${line.repeat(100_001)}# new generation 2\n${line}# new generation 3`)
    assert.deepEqual([many[0]?.lost, many[0]?.events.length], [true, 100_000])
    assert.deepEqual([many[1]?.lost, many[1]?.events.length], [false, 1])
  })

  it('loses nothing of ours by how much others do', () => {
    const foreign = [
      'add element inet blocklist bad { 198.51.100.1 }\n',
      'delete rule ip nat kube handle 9\n',
      'add element ip pkctl pk-ssh-4 { 198.51.100.1 }\n',
    ]
    const flood = foreign.map(line => line.repeat(100_001)).join('')
    const ours = 'delete rule ip mangle INPUT handle 4\ndelete table inet pkctl\n'
    const [first, second] = read(`${flood}${ours}${flood}# new generation 2\n${foreign.join('')}# new generation 3`)
    assert.equal(first?.lost, false)
    assert.deepEqual(
      first.events.map(({ verb, kind, family, table }) => `${verb} ${kind} ${family} ${table}`),
      [
        'add element inet blocklist',
        'delete rule ip nat',
        'add element ip pkctl',
        'delete rule ip mangle',
        'delete table inet pkctl',
      ],
    )
    assert.equal(second?.events.length, 3, 'that there was something is told each time')
  })
})
