import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { matchesInterface, onlyInterface, parseInterface, withoutCovered } from '../../../src/net/interfaces.js'
import { table } from '../../support/value-table.js'

describe('parseInterface', () => {
  table('names', parseInterface, [
    ['eth0', 'eth0'],
    ['ppp*', 'ppp*'],
    ['enp3s0f1.4000', 'enp3s0f1.4000'],
    ['wg-home_1', 'wg-home_1'],
    ['fifteen-letters', 'fifteen-letters'],
    ['sixteen--letters', undefined],
    ['fifteen-letter*', 'fifteen-letter*'],
    ['fifteen-letters*', undefined],
    ['', undefined],
    ['*', undefined],
    ['p*p', undefined],
    ['..', undefined],
    ['@services', undefined],
    ['eth0:1', undefined],
    ['a b', undefined],
    ['a"', undefined],
    ['eth0\n', undefined],
  ])
})

describe('names of interfaces', () => {
  table('without those that another one matches', withoutCovered, [
    [[], []],
    [
      ['ppp1', 'eth0', 'ppp*', 'eth0'],
      ['eth0', 'ppp*'],
    ],
    [['p*', 'pp*', 'ppp0', 'pq'], ['p*']],
    [
      ['ppp0', 'ppp0x'],
      ['ppp0', 'ppp0x'],
    ],
  ])
  it('mean one interface, or not', () => {
    assert.equal(onlyInterface(['eth0']), 'eth0')
    for (const names of [[], ['ppp*'], ['eth0', 'eth1']]) assert.equal(onlyInterface(names), undefined)
  })
  it('match whole, or by their start', () => {
    assert.ok(matchesInterface('ppp*', 'ppp0') && matchesInterface('ppp*', 'ppp'))
    assert.ok(!matchesInterface('ppp', 'ppp0') && !matchesInterface('ppp*', 'pp'))
  })
})
