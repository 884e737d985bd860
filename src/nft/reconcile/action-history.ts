/** What the numbers of actions meant, and when: an answer is read some time after it was given. */
import type { GrantAction } from '../table/packet-path-spec.js'

/** A number gets a new meaning only after two reloads. */
const maxMeanings = 8

const meaning = ({ revokes, grants }: GrantAction) =>
  JSON.stringify([revokes, grants.map(({ service, seconds }) => [service.name, seconds])])

export class ActionHistory {
  /** By number, the latest meaning first. */
  readonly #meanings = new Map<number, { from: number; action: GrantAction }[]>()

  /** From the time `from` on the numbers of these actions mean this. */
  use(actions: readonly GrantAction[], from: number): void {
    for (const action of actions) {
      const known = this.#meanings.get(action.number) ?? []
      const same = known[0] && meaning(known[0].action) === meaning(action)
      if (!same) this.#meanings.set(action.number, [{ from, action }, ...known].slice(0, maxMeanings))
    }
  }

  /** What the number meant at that time: `unknown` if it never had a meaning, `forgotten` if that was too long ago. */
  at(number: number, time: number): GrantAction | 'unknown' | 'forgotten' {
    const meanings = this.#meanings.get(number)
    return meanings ? (meanings.find(({ from }) => from <= time)?.action ?? 'forgotten') : 'unknown'
  }
}
