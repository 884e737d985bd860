/** Tells how long each request to nft took, whatever became of it. */
import type { Nft } from './nft.js'

/** `list` has all elements, `list-structure` none. */
export const nftRequests = ['apply', 'check', 'list', 'list-structure', 'list-set', 'get-element'] as const
type NftRequest = (typeof nftRequests)[number]

export type OnNftRequest = (request: NftRequest, seconds: number) => void

export function timed(nft: Nft, onRequest: OnNftRequest): Nft {
  async function time<T>(request: NftRequest, work: () => Promise<T>): Promise<T> {
    const began = performance.now()
    try {
      return await work()
    } finally {
      onRequest(request, (performance.now() - began) / 1000)
    }
  }
  return {
    apply: commands => time('apply', () => nft.apply(commands)),
    check: commands => time('check', () => nft.check(commands)),
    list: (options = {}) => time(options.elements === false ? 'list-structure' : 'list', () => nft.list(options)),
    listSet: (kind, name) => time('list-set', () => nft.listSet(kind, name)),
    getElement: (set, value) => time('get-element', () => nft.getElement(set, value)),
  }
}
