import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { helloText, readHello } from '../../../src/fleet/hello.js'
import { longestHello } from '../../../src/fleet/message.js'
import { Nodes } from '../../../src/fleet/nodes.js'

const hello = {
  ...{ version: '1.2.3', share: ['ssh'], accept: ['ssh', 'web'], grants: 7, window: 3600 },
  prefixes: { ssh: '32/128', web: '24/56' },
}

describe('what a server says of itself', () => {
  it('is read as it was said, also without what earlier releases do not say', () => {
    assert.deepEqual(readHello(helloText(hello)), hello)
    const early = { version: hello.version, share: hello.share, accept: hello.accept, grants: hello.grants }
    assert.deepEqual(readHello(JSON.stringify(early)), { ...early, window: null, prefixes: {} })
    for (const wrong of [{ window: -1 }, { window: '60' }, { prefixes: { 'a b': '1/1' } }, { prefixes: { ssh: '32' } }])
      assert.notDeepEqual(readHello(JSON.stringify({ ...hello, ...wrong })), { ...hello, ...wrong })
    for (const none of ['', '[]', 'null', '{}', JSON.stringify({ ...hello, grants: -1 })])
      assert.equal(readHello(none), undefined)
  })

  it('fits into a message, whatever the services are called', () => {
    const names = Array.from({ length: 12 }, (_, i) => `${'x'.repeat(62)}${10 + i}`)
    const prefixes = Object.fromEntries(names.map(name => [name, '32/128']))
    const text = helloText({ ...hello, share: names, accept: names, prefixes })
    assert.ok(text.length <= longestHello)
    assert.notEqual(readHello(text)?.share.length ?? 0, 0)
  })

  it('tells since when two servers know of other grants', () => {
    const nodes = new Nodes('here')
    const sent = { kind: 'hello', text: '', node: 'there', epoch: 1, made: 1000 } as const
    nodes.heard({ ...sent, sequence: 1 }, hello, 1000, 1000, true)
    const since = (other: Partial<typeof hello>, own: Partial<typeof hello>, now: number) => {
      nodes.compare('there', { ...hello, ...other }, { ...hello, ...own }, now)
      return nodes.others()[0]?.differsSince
    }
    assert.equal(since({}, {}, 1000), null)
    assert.equal(since({ grants: 8 }, {}, 2000), 2000)
    assert.equal(since({ grants: 9 }, {}, 3000), 2000)
    assert.equal(since({}, {}, 4000), null)
    // So many come and go all the time.
    assert.equal(since({ grants: 1000 }, { grants: 1009 }, 5000), null)
    // Servers that share other services know of other grants.
    assert.equal(since({ grants: 8, accept: ['ssh'] }, {}, 6000), null)
  })
})
