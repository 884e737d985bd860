import { namePattern } from '../config/values.js'

/** Makes names that are valid, and different from all that it made before. */
export class UniqueNames {
  readonly #taken = new Set<string>()
  readonly #next = new Map<string, number>()

  constructor(reserved: readonly string[] = []) {
    for (const name of reserved) this.reserve(name)
  }

  reserve(name: string): void {
    this.#taken.add(name)
  }

  make(wanted: string, otherwise = 'unnamed'): string {
    const base = validName(wanted) || otherwise
    let name = base
    for (let number = this.#next.get(base) ?? 2; this.#taken.has(name); number++) {
      name = `${base.slice(0, 40 - String(number).length - 1)}-${number}`
      this.#next.set(base, number + 1)
    }
    this.#taken.add(name)
    return name
  }
}

function validName(text: string): string {
  const name = text
    .slice(0, 200)
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[^A-Za-z0-9_-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 40)
    .replace(/-+$/, '')
  return namePattern.test(name) ? name : ''
}
