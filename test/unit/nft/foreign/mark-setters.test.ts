import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseSavedRules } from '../../../../src/nft/foreign/iptables-save.js'
import { markSetters } from '../../../../src/nft/foreign/mark-setters.js'
import { parseRuleset } from '../../../../src/nft/foreign/ruleset.js'

const input = { mask: 0xff, hook: 'input', priority: -148 }

/** Rules as iptables-save prints them, of the table mangle. */
const saved = (...rules: string[]) =>
  parseSavedRules(`*mangle\n:PREROUTING ACCEPT\n:INPUT ACCEPT\n${rules.join('\n')}\nCOMMIT\n`, 'ip', 'iptables-nft')

describe('rules that set bits of the mark', () => {
  const cases: readonly (readonly [name: string, rule: string, uses: boolean])[] = [
    ['Calico', '-A PREROUTING -j MARK --set-xmark 0x10000/0x10000', false],
    ['Cilium', '-A PREROUTING -m socket --transparent -j MARK --set-xmark 0x200/0xffffffff', false],
    ['kube-proxy', '-A PREROUTING -j MARK --set-xmark 0x4000/0x4000', false],
    ['CNI', '-A PREROUTING -j MARK --set-xmark 0x2000/0x2000', false],
    ['Tailscale', '-A PREROUTING -i tailscale0 -j MARK --set-xmark 0x40000/0xff0000', false],
    ["Tailscale's connections", '-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xff0000 --ctmask 0xff0000', false],
    [
      'wg-quick',
      '-A PREROUTING -p udp -m comment --comment "wg-quick(8) rule for wg0" -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff',
      false,
    ],
    ['marks of connections that are saved', '-A PREROUTING -j CONNMARK --save-mark', false],
    ['marks of connections', '-A PREROUTING -j CONNMARK --restore-mark', true],
    ['a part of them', '-A INPUT -j CONNMARK --restore-mark --nfmask 0xf0 --ctmask 0xf0', true],
    ['a small number', '-A INPUT -j MARK --set-xmark 0x1/0xffffffff', true],
  ]
  for (const [name, rule, uses] of cases) {
    it(`by ${name}: ${uses ? 'are found' : 'have others'}`, () => {
      assert.equal(markSetters(saved(rule), input).length, uses ? 1 : 0)
    })
  }

  it('count where they come before pkctl', () => {
    const late = parseSavedRules('*filter\n:INPUT ACCEPT\n-A INPUT -j MARK --set-xmark 0x1/0x1\n', 'ip', 'iptables-nft')
    assert.deepEqual(markSetters(late, input), [])
    const onInput = saved('-A INPUT -j MARK --set-xmark 0x1/0x1')
    assert.deepEqual(markSetters(onInput, { ...input, hook: 'prerouting' }), [])
  })

  it('count in the tables of nft, but for those of wg-quick', () => {
    const table = (name: string) =>
      parseRuleset({
        nftables: [
          { chain: { family: 'ip', table: name, name: 'pre', type: 'filter', hook: 'prerouting', prio: -150 } },
          {
            rule: {
              ...{ family: 'ip', table: name, chain: 'pre', handle: 1 },
              expr: [{ mangle: { key: { meta: { key: 'mark' } }, value: { ct: { key: 'mark' } } } }],
            },
          },
        ],
      }).chains
    assert.equal(markSetters(table('mine'), input).length, 1)
    assert.equal(markSetters(table('wg-quick-wg0'), input).length, 0)
  })
})
