import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { importKnockdHelper } from '../../../src/import/knockd-helper.js'
import { hostile, imported } from './import-support.js'

const from = (text: string) => imported(importKnockdHelper(text))

describe('import knockd-helper', () => {
  const services: readonly [string, Record<string, unknown>][] = [
    ['pktables init s --port 22 --syn', { port: 22 }],
    ['pktables init --port=22 --syn s', { port: 22 }],
    ['/usr/local/sbin/pktables init s --port ssh --syn', { port: 22 }],
    ['pktables init s --udp --port isakmp', { port: 500, protocol: 'udp' }],
    ['pktables init s --port 6000:6010 --syn', { port: '6000-6010' }],
    ['pktables init s --port 65000: --syn', { port: '65000-65535' }],
    ['pktables init s --port 22', { port: 22, syn: false }],
    ['pktables init s --port 22 --syn --accept', { port: 22, accept: true }],
    ['pktables init s --port 22 --syn --log', { port: 22, log: { prefix: '', level: 'warn', limit: 'none' } }],
    [
      'pktables init s --port 22 --syn --log --log-prefix "a b: " --log-level 7 --log-limit 3/h --log-burst 9',
      { port: 22, log: { prefix: 'a b: ', level: 'debug', limit: '3/hour', burst: 9 } },
    ],
    ['pktables init s --port 22 --syn --log-prefix x', { port: 22 }],
    ['pktables init s \\\n  --port 22 \\\n --syn >/dev/null 2>&1 || exit 1 # here', { port: 22 }],
    [
      'cat <<-"END" <<E2\n  pktables add 192.0.2.9 --service s\n\tEND\nEND\nE2\npktables init s --port 22 --syn\n',
      { port: 22 },
    ],
    ['echo $((1 << 2))\npktables init s --port 22 --syn', { port: 22 }],
    ['case $1 in\nstart) pktables init s --port 22 --syn;;\nesac', { port: 22 }],
    ['if true; then (pktables init "s" --port \'22\' --syn) & fi', { port: 22 }],
    ['pktables add 192.0.2.9/24 --service s\npktables init s --port 22 --syn', { port: 22, allow: ['192.0.2.9/32'] }],
  ]
  for (const [text, want] of services) {
    it(JSON.stringify(text), () => {
      const { value, warnings } = from(text)
      assert.deepEqual(value, { services: { s: want } })
      assert.deepEqual(
        warnings.filter(line => !line.includes('every packet is filtered')),
        [],
      )
    })
  }

  it('who judges every packet is warned that connections end', () => {
    assert.match(from('pktables init s --port 22').warnings.join(), /^s: every packet is filtered: connections .* end/)
    assert.deepEqual(from('pktables init s --port 22 --syn').warnings, [])
  })

  const leftOut: readonly [string, RegExp][] = [
    ['pktables init s --port $PORT --syn', /line 1: only plain words/],
    ['\npktables init $NAME --port 22', /line 2: only plain words/],
    ['pktables init s --port "`port`"', /only plain words/],
    ['$PKTABLES init s --port 22', /only the program itself/],
    ['sudo pktables init s --port 22', /only the program itself/],
    ['pktables init s', /it has no --port/],
    ['pktables init --port 22', /not one name/],
    ['pktables init a b --port 22', /not one name/],
    ['pktables init s --port', /--port has no value/],
    ['pktables init s --port 22 --foo', /--foo is not known/],
    ['pktables init s --port nowhere', /port is not known/],
    ['pktables init s --port 9:1', /port is not known/],
    ['pktables init a.b --port 22', /does not take this name/],
    ['pktables init s --port 22 --udp --syn', /exclude each other/],
    ['pktables init s --port 22 --log --log-level loud', /--log-level takes/],
    ['pktables init s --port 22 --log --log-limit many', /--log-limit takes/],
    ['pktables init s --port 22 --log --log-limit 0/s', /--log-limit cannot/],
    ['pktables init s --port 22 --log --log-burst 0', /--log-burst cannot/],
    ["pktables init s --port 22 --log --log-prefix 'a\"b'", /--log-prefix cannot/],
    ['pktables frobnicate s', /cannot be converted/],
    ['pktables add $IP --service s', /not plain/],
    ['for i in 1.2.3.4; do pktables add $i --service s; done', /line 1: an address that is not plain/],
    ['if true; then pktables add 192.0.2.9 --service s; fi', /only the program itself/],
    ['$PKTABLES add 192.0.2.9 --service s', /not plain/],
    ['pktables add 192.0.2.9 --service s', /the addresses for s: there is no such service/],
  ]
  for (const [text, why] of leftOut) {
    it(`left out: ${JSON.stringify(text)}`, () => {
      const { value, warnings } = from(text)
      assert.deepEqual(value, {})
      assert.match(warnings.join('\n'), why)
    })
  }

  it('an address that is not let in whatever happens is told', () => {
    const add = 'pktables init s --port 22 --syn\npktables add 192.0.2.9 --service s\n'
    const taken = from(`${add}pktables delete --service s 192.0.2.9\n`)
    assert.match(taken.warnings.join('\n'), /line 3: 192\.0\.2\.9 is removed again/)
    for (const condition of ['if x\nthen\n', '[ -e y ] &&\n', 'while x; do\n']) {
      assert.match(from(condition + add).warnings.join('\n'), /conditions of the script are not checked/)
    }
    assert.deepEqual(from(`${add}pktables delete --service s 192.0.2.8\n`).warnings, [])
  })

  it('names and ports are given once', () => {
    const { value, warnings } = from(
      'pktables init a --port 22 --syn\npktables init a --port 23\npktables init b --port 20:30\npktables init c --port 22 --udp',
    )
    assert.deepEqual(Object.keys(value['services'] ?? {}), ['a', 'c'])
    assert.match(warnings.join('\n'), /line 2: a service of this name[^]*line 3: a port of it belongs to a/)
  })

  it('lines about other things are nobody’s business', () => {
    const text =
      '#!/bin/sh\nPK=/usr/bin/pktables\necho pktables init\npktables list\npktables remove s\ngit init x\n# pktables init s --port 22\n'
    const { value, warnings } = from(text)
    assert.deepEqual([value, warnings], [{}, []])
  })

  it('hostile text stays text, and huge text comes to an end', () => {
    for (const text of hostile) {
      from(
        `pktables init s --port 22 --syn --log --log-prefix '${text}'\npktables ${text}\npktables init ${text} --port 1\n`,
      )
    }
    from('pktables init s --port 22 '.repeat(40_000))
    from('pktables add 192.0.2.1 --service s\n'.repeat(30_000))
    from(`'${'x'.repeat(900_000)}`)
    from('('.repeat(900_000))
    from('<<a\n'.repeat(250_000))
    from(['1,', '2,'].map((port, i) => `pktables init s${i} --syn --port ${port.repeat(200_000)}9\n`).join(''))
  })
})
