/**
 * A hash table from four 32-bit words to a number, flat in memory: no object, and so no work for the garbage collector,
 * for each of what may be millions of entries. Entries are never deleted one by one; a table is dropped whole.
 */
export class HashTable {
  #keys: Uint32Array
  #values: Float64Array
  #mask: number
  /** How many entries there are. */
  size = 0

  constructor(capacity = 8) {
    this.#keys = new Uint32Array(capacity * 4)
    this.#values = new Float64Array(capacity).fill(NaN)
    this.#mask = capacity - 1
  }

  /** The value, or undefined. */
  get(a: number, b: number, c: number, d: number): number | undefined {
    const value = this.#values[this.#slot(a, b, c, d)] as number
    return Number.isNaN(value) ? undefined : value
  }

  set(a: number, b: number, c: number, d: number, value: number): void {
    if (this.size * 2 > this.#mask) this.#grow()
    const slot = this.#slot(a, b, c, d)
    if (Number.isNaN(this.#values[slot])) {
      // One by one: an array of them would be an object for each entry, and cost more than the hashing does.
      const at = slot * 4
      this.#keys[at] = a
      this.#keys[at + 1] = b
      this.#keys[at + 2] = c
      this.#keys[at + 3] = d
      this.size++
    }
    this.#values[slot] = value
  }

  /** Calls `visit` with the four words and the value of each entry. */
  forEach(visit: (a: number, b: number, c: number, d: number, value: number) => void): void {
    const keys = this.#keys
    for (let slot = 0; slot <= this.#mask; slot++) {
      const value = this.#values[slot] as number
      if (Number.isNaN(value)) continue
      const at = slot * 4
      visit(keys[at] as number, keys[at + 1] as number, keys[at + 2] as number, keys[at + 3] as number, value)
    }
  }

  /** Where the key is, or the empty slot where it would be. */
  #slot(a: number, b: number, c: number, d: number): number {
    const keys = this.#keys
    let hash = Math.imul(a ^ seed, 0x85ebca6b)
    hash = Math.imul((hash ^ (hash >>> 15)) + b, 0xc2b2ae35)
    hash = Math.imul((hash ^ (hash >>> 13)) + c, 0x27d4eb2f)
    hash = Math.imul((hash ^ (hash >>> 16)) + d, 0x85ebca6b)
    for (let slot = (hash ^ (hash >>> 15)) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      if (Number.isNaN(this.#values[slot])) return slot
      const at = slot * 4
      if (keys[at] === a && keys[at + 1] === b && keys[at + 2] === c && keys[at + 3] === d) return slot
    }
  }

  #grow(): void {
    const larger = new HashTable((this.#mask + 1) * 2)
    this.forEach((a, b, c, d, value) => larger.set(a, b, c, d, value))
    this.#keys = larger.#keys
    this.#values = larger.#values
    this.#mask = larger.#mask
  }
}

// Secret, so that a client cannot choose addresses that all have the same hash.
const seed = Math.floor(Math.random() * 2 ** 32) | 0
