/** The screen of `pkctl watch`: what fits, what is selected, and what the keys mean. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { actionOf } from '../../../src/cli/watch/keyboard.js'
import { drawScreen, grantLines } from '../../../src/cli/watch/screen.js'
import type { View } from '../../../src/cli/watch/view.js'
import type { Status } from '../../../src/controller/index.js'
import type { HistoryEntry } from '../../../src/daemon/history-lines.js'
import { service } from '../../support/firewall-tools.js'
import { status } from '../doctor/doctor-support.js'

const entry = (message: string, more: object = {}): HistoryEntry => ({
  ...{ time: '2026-01-02T03:04:05.000Z', level: 'info', message },
  ...more,
})
const grant = (source: string, secondsLeft: number | null) => ({ source, by: 'knock' as const, secondsLeft })
const view = (more: Partial<View> = {}): View => ({
  at: 1000,
  status: undefined,
  unconfirmed: undefined,
  problems: ['pkctld is not running: no daemon answers at /run/pkctl/pkctl.sock'],
  services: [
    {
      spec: service('ssh'),
      sound: true,
      grants: [grant('198.51.100.7', null), grant('2001:db8::1', 59), grant('198.51.100.9', 7200)],
      refusedPackets: 30,
      admittedPackets: 500,
    },
  ],
  entries: [entry('knock from 198.51.100.9 opens ssh'), entry('a wrong\u001b[31m thing', { level: 'warn' })],
  ...more,
})
const layout = { columns: 80, rows: 24, selected: 0, filter: '', note: '', now: 1000, strong: (text: string) => text }

describe('the screen of pkctl watch', () => {
  it('has each line within the terminal, whatever its size', () => {
    for (const columns of [10, 40, 80, 200]) {
      for (const rows of [5, 10, 24, 60]) {
        const lines = drawScreen(view(), undefined, { ...layout, columns, rows })
        assert.equal(lines.length, rows)
        assert.ok(lines.every(line => line.length <= columns))
      }
    }
  })

  it('shows what is wrong first, the grants that end first, and time that runs down', () => {
    const text = drawScreen(view(), undefined, { ...layout, now: 11_000 }).join('\n')
    assert.match(text, /^pkctld does not answer: pkctld is not running/)
    assert.match(text, /> 2001:db8::1 +ssh +49 s left +by knock\n {2}198\.51\.100\.9 +ssh +119 min 50 s left/)
    assert.match(text, /198\.51\.100\.7 +ssh +no time limit +by knock/)
    assert.ok(!text.includes('\u001b'), 'a message moves no cursor')
  })

  it('shows everything that may be wrong', () => {
    const sick: Status = {
      ...status,
      ...{ watched: false, unwatchedBecause: 'nft monitor ended', signatures: 'down', healed: 2 },
      knocks: {
        accepted: 3,
        refused: { 'bad-hash': 2 },
        notGranted: 1,
        unchecked: 4,
        ofOtherMinutes: 7,
        ofNoCredential: 5,
      },
      table: { mode: 'restored', because: 'another program owns it' },
      grantCheck: { comparedAt: 1, missing: 2, restored: 1, unknown: 3, changed: 0, byOthers: 0 },
      refusedReload: { at: 1, error: 'no port', errors: 1 },
      selfTest: { result: 'failed', because: 'nothing is heard', at: 2, passedAt: 1, seconds: 1, failures: 1 },
    }
    const lines = drawScreen(view({ status: sick, problems: [], unconfirmed: 59 }), undefined, {
      ...layout,
      columns: 200,
      rows: 60,
    })
    const head = lines.slice(0, lines.indexOf('')).join('\n')
    for (const said of [
      /^knocks: 3 accepted, refused: 2 bad-hash$/m,
      /^self-test: failed: nothing is heard; the last one that passed: 1970-01-01T00:00:01Z$/m,
      /^table: restored after changes: another program owns it$/m,
      /^grants: missing in the kernel: 2 \(restored: 1\); unknown: 3$/m,
      /^7 packets of the right size in the wrong minute: is a clock wrong\?$/m,
      /^5 packets as long as a PKD knock, with the tag of no credential; other UDP of that length counts, too$/m,
      /^the ruleset is not watched: nft monitor ended$/m,
      /^signatures are not verified/m,
      /^the last reload was refused: no port$/m,
      /^1 accepted knock without a grant in the kernel$/m,
      /^4 accepted knocks not checked in the kernel$/m,
      /^rules restored: 2$/m,
      /^a change is rolled back in 59 s: pkctl confirm keeps it/m,
    ])
      assert.match(head, said)
    const silent = drawScreen(view({ status, problems: [], unconfirmed: 'silent' }), undefined, layout).join('\n')
    assert.match(silent, /^a change waits, and its process stands still: pkill -CONT -x pkctl-rollback$/m)
    const well = drawScreen(view({ status, problems: [] }), undefined, layout)
    assert.equal(well.indexOf(''), 2, 'nothing more where all is well')
  })

  it('shows packets a second since the view before', () => {
    const [state] = view().services
    assert.ok(state)
    const later = view({ at: 3000, services: [{ ...state, admittedPackets: 520, refusedPackets: 30 }] })
    assert.match(drawScreen(later, view(), layout).join('\n'), /packets: 520 \(10\/s\) accepted, 30 refused/)
  })

  it('keeps the selected grant in sight, and counts those below', () => {
    const [state] = view().services
    assert.ok(state)
    const grants = Array.from({ length: 100 }, (_, i) => grant(`198.51.100.${i}`, i + 10))
    const many = view({ services: [{ ...state, grants }] })
    assert.match(drawScreen(many, undefined, { ...layout, selected: 60 }).join('\n'), /> 198\.51\.100\.60 /)
    assert.match(drawScreen(many, undefined, layout).join('\n'), /and \d+ more/)
  })

  it('filters grants and log by a part of what they say', () => {
    assert.deepEqual(
      grantLines(view(), '100.9').map(({ source }) => source),
      ['198.51.100.9'],
    )
    const text = drawScreen(view(), undefined, { ...layout, filter: 'opens' }).join('\n')
    assert.match(text, /GRANTS\n {2}none with opens\n/)
    assert.ok(text.includes('opens ssh') && !text.includes('thing'))
  })
})

describe('a key of pkctl watch', () => {
  const browse = { kind: 'browse' } as const
  const asked = { service: 'ssh', source: '198.51.100.7', by: 'hand', secondsLeft: 60 }
  const question = { kind: 'revoke', grant: asked } as const
  it('selects, asks and quits', () => {
    assert.deepEqual(actionOf(browse, undefined, { name: 'up' }), { kind: 'up' })
    assert.deepEqual(actionOf(browse, 'r', { name: 'r' }), { kind: 'ask', what: 'revoke' })
    assert.deepEqual(actionOf(browse, 'q', { name: 'q' }), { kind: 'quit' })
    assert.deepEqual(actionOf(question, '\u0003', { name: 'c', ctrl: true }), { kind: 'quit' })
    assert.deepEqual(actionOf(browse, 'x', { name: 'x' }), { kind: 'none' })
  })

  it('changes something only as the answer y, and that about which was asked', () => {
    assert.deepEqual(actionOf(question, 'y', { name: 'y' }), { kind: 'do', what: 'revoke', grant: asked })
    for (const key of ['n', 'r', 'q', ' ']) assert.equal(actionOf(question, key, { name: key }).kind, 'cancel')
  })

  it('types a filter, with q as a letter', () => {
    const typing = { kind: 'filter', text: 'a' } as const
    assert.deepEqual(actionOf(typing, 'q', { name: 'q' }), { kind: 'filter', text: 'aq', done: false })
    assert.deepEqual(actionOf(typing, undefined, { name: 'backspace' }), { kind: 'filter', text: '', done: false })
    assert.deepEqual(actionOf(typing, '\r', { name: 'return' }), { kind: 'filter', text: 'a', done: true })
    assert.deepEqual(actionOf(typing, undefined, { name: 'escape' }), { kind: 'filter', text: '', done: true })
    assert.deepEqual(actionOf(typing, '\u001b', { name: 'left' }), { kind: 'filter', text: 'a', done: false })
  })
})
