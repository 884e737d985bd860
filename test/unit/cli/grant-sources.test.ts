import assert from 'node:assert/strict'
import type { LookupAddress } from 'node:dns'
import { describe, it } from 'node:test'
import { findSources } from '../../../src/cli/changes/grant-sources.js'

describe('what a user names to grant access', () => {
  const asked: string[] = []
  const answers: Readonly<Record<string, readonly string[]>> = {
    'home.example': ['192.0.2.7', '2001:DB8::7', '192.0.2.7'],
    'everywhere.example': ['192.0.2.7', '0.0.0.0'],
  }
  const lookup = ((name: string) => {
    asked.push(name)
    const found = answers[name]
    if (!found) return Promise.reject(Object.assign(new Error('x'), { code: 'ENOTFOUND' }))
    return Promise.resolve(found.map((address): LookupAddress => ({ address, family: 4 })))
  }) as unknown as Parameters<typeof findSources>[1]
  const find = (text: string) => findSources(text, lookup)

  for (const [text, source] of [
    ['192.0.2.7', '192.0.2.7'],
    ['2001:DB8::7', '2001:db8::7'],
    ['192.0.2.0/24', '192.0.2.0/24'],
  ] as const)
    it(`is an address or a prefix, and no name is asked for: ${text}`, async () => {
      assert.deepEqual(await find(text), { host: null, sources: [{ version: text.includes(':') ? 6 : 4, source }] })
      assert.deepEqual(asked, [])
    })

  it('is a host with all of its addresses, each once', async () => {
    assert.deepEqual(await find('home.example'), {
      host: 'home.example',
      sources: [
        { version: 4, source: '192.0.2.7' },
        { version: 6, source: '2001:db8::7' },
      ],
    })
  })

  it('is no host of which an address is none that packets come from', () =>
    assert.rejects(find('everywhere.example'), /unspecified address/))

  it('is no host without an address', () =>
    assert.rejects(find('none.example'), /^UserError: the host name 'none\.example' has no address: ENOTFOUND$/))

  for (const text of ['300.1.1.1', '10.0.0', '-host', 'a b', 'fe80::1%eth0', 'a/24', ''])
    it(`is neither: '${text}'`, () => assert.rejects(find(text), /expected an/))
})
