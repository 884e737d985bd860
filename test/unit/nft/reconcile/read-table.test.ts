import assert from 'node:assert/strict'
import { afterEach, describe, it, mock } from 'node:test'
import type { Listing } from '../../../../src/nft/listing.js'
import { emptyListing } from '../../../../src/nft/listing.js'
import { withElements } from '../../../../src/nft/reconcile/read-table.js'
import { FakeNft } from '../../../support/fake-nft.js'

const names = (count: number) => Array.from({ length: count }, (_, i) => `s${i}`)

/** An nft that lists sets at once, and everything as `whole` says. */
function scene(whole: (signal: AbortSignal) => Promise<Listing>) {
  const listed: string[] = []
  const nft = new FakeNft()
  nft.list = options => {
    listed.push('everything')
    return whole((options as { signal?: AbortSignal } | undefined)?.signal ?? new AbortController().signal)
  }
  nft.listSet = (_, name) => {
    listed.push(name)
    return Promise.resolve({ ...emptyListing(), sets: new Map([[name, { name, elements: [] }]]) })
  }
  return { nft, listed }
}

describe('withElements', () => {
  afterEach(() => mock.timers.reset())

  it('lists a few sets each, and many together', async () => {
    const { nft, listed } = scene(() => Promise.resolve(emptyListing()))
    await withElements(nft, emptyListing(), { maps: [], sets: names(3) })
    await withElements(nft, emptyListing(), { maps: [], sets: names(17) })
    assert.deepEqual(listed, [...names(3), 'everything'])
  })

  it('lists many each, too, when everything takes too long', async () => {
    mock.timers.enable({ apis: ['setTimeout'] })
    let isKilled = false
    const { nft, listed } = scene(
      signal =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            isKilled = true
            reject(signal.reason as Error)
          })
        }),
    )
    const result = withElements(nft, emptyListing(), { maps: [], sets: names(40) })
    mock.timers.tick(3000)
    assert.deepEqual([...(await result).sets.keys()], names(40))
    assert.deepEqual([isKilled, listed], [true, ['everything', ...names(40)]])
  })

  it('fails as nft does', async () => {
    const { nft } = scene(() => Promise.reject(new Error('no nft')))
    await assert.rejects(withElements(nft, emptyListing(), { maps: [], sets: names(40) }), /no nft/)
  })
})
