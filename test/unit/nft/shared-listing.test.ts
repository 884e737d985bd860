import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import type { Listing } from '../../../src/nft/listing.js'
import { emptyListing } from '../../../src/nft/listing.js'
import { SharedListing } from '../../../src/nft/shared-listing.js'

describe('SharedListing', () => {
  let reads: { signal: AbortSignal; end: (listing: Listing) => void; fail: (error: Error) => void }[]
  let shared: SharedListing
  beforeEach(() => {
    reads = []
    shared = new SharedListing(
      signal =>
        new Promise((end, fail) => {
          reads.push({ signal, end, fail })
          signal.addEventListener('abort', () => fail(new Error('killed')))
        }),
    )
  })
  const settle = () => new Promise(done => setImmediate(done))
  const listing = (handle: number): Listing => ({ ...emptyListing(), handle })

  it('is read once for all who ask while another one is read', async () => {
    const first = shared.get()
    const others = Array.from({ length: 24 }, () => shared.get())
    assert.equal(reads.length, 1)
    reads[0]?.end(listing(1))
    assert.equal((await first).handle, 1)
    await settle()
    assert.equal(reads.length, 2, 'what an asker has changed may be missing in a listing that had begun')
    reads[1]?.end(listing(2))
    assert.deepEqual(new Set((await Promise.all(others)).map(({ handle }) => handle)), new Set([2]))
    assert.equal(reads.length, 2)
  })

  it('is killed when the last asker leaves, and not before', async () => {
    const askers = [new AbortController(), new AbortController()]
    const waiting = shared.get()
    const left = askers.map(({ signal }) => assert.rejects(shared.get(signal), { name: 'AbortError' }))
    reads[0]?.end(listing(1))
    await waiting
    await settle()
    const isKilled = () => reads[1]?.signal.aborted
    askers[0]?.abort()
    await settle()
    assert.equal(isKilled(), false)
    askers[1]?.abort()
    await settle()
    assert.equal(isKilled(), true)
    await Promise.all(left)
    const next = shared.get()
    await settle()
    reads.at(-1)?.end(listing(3))
    assert.equal((await next).handle, 3)
  })

  it('is not begun for askers that have left', async () => {
    const first = shared.get()
    const asker = new AbortController()
    const gone = assert.rejects(shared.get(asker.signal))
    asker.abort()
    await gone
    reads[0]?.end(listing(1))
    await first
    await settle()
    assert.equal(reads.length, 1)
    await assert.rejects(shared.get(asker.signal), { name: 'AbortError' })
  })

  it('that fails does so for its askers, and the next one is read', async () => {
    const first = shared.get()
    const second = shared.get()
    reads[0]?.fail(new Error('nft: no'))
    await assert.rejects(first, /nft: no/)
    await settle()
    reads[1]?.end(listing(2))
    assert.equal((await second).handle, 2)
  })
})
