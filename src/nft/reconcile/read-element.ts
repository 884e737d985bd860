/** Questions about one element of a set that may be large. */
import { NftError } from '../nft-errors.js'
import { deleteElements } from '../nft-json.js'
import type { ListedElement } from '../listing.js'
import type { Nft } from '../nft.js'

/**
 * Whether the element is there, in some milliseconds however large the set is: the kernel is asked whether it would delete it.
 * Rejects with an NftError.
 */
export async function hasElement(nft: Pick<Nft, 'check'>, set: string, value: string): Promise<boolean> {
  try {
    await nft.check([deleteElements(set, [value])])
    return true
  } catch (error) {
    if (error instanceof NftError && error.kind === 'not-found') return false
    throw error
  }
}

/** One element, if it is there. Only then nft reads the set, and all others, to answer. Rejects with an NftError. */
export async function readElement(
  nft: Pick<Nft, 'check' | 'getElement'>,
  set: string,
  value: string,
): Promise<ListedElement | undefined> {
  return (await hasElement(nft, set, value)) ? nft.getElement(set, value) : undefined
}
