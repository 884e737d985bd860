import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { FleetMessage } from '../../../src/fleet/message.js'
import { SharedGrants } from '../../../src/fleet/shared-grants.js'
import { Random } from '../../fuzz/random.js'

type Word = Exclude<FleetMessage, { kind: 'hello' }>

const limits = { mostPerNode: 1000, longestWindow: 3600, tolerance: 100 }
const at = { service: 'ssh', source: '192.0.2.7' }
const start = 1_000_000
const grant: Word = {
  ...{ ...at, kind: 'grant', by: 'knock', node: 'a', epoch: 1, sequence: 1 },
  ...{ made: start, until: start + 60 },
}
const revoke: Word = { ...grant, kind: 'revoke', by: 'hand', sequence: 2, made: start + 10, until: start + 3610 }

const taking = (words: readonly Word[], now = start + 10, grants = new SharedGrants(limits)) => {
  for (const word of words) grants.take(word, now)
  return grants
}
const untilOf = (grants: SharedGrants, now = start + 10) => grants.grantOf(at.service, at.source, now)?.until
const isRevoked = (grants: SharedGrants) => grants.revocationOf(at.service, at.source)

describe('grants that a fleet shares', () => {
  it('are as the latest word says', () => {
    assert.equal(untilOf(taking([grant])), start + 60)
    assert.equal(untilOf(taking([grant, revoke])), undefined)
    assert.equal(untilOf(taking([revoke, grant])), undefined)
    assert.equal(isRevoked(taking([revoke, grant])), 'hand')
    assert.equal(untilOf(taking([revoke, { ...grant, sequence: 3, made: start + 11 }])), start + 60)
    assert.equal(untilOf(taking([{ ...grant, until: start + 5 }])), undefined)
  })

  it('of hands are not taken back by a knock that closes', () => {
    const hand: Word = { ...grant, by: 'hand', until: start + 900 }
    const closed: Word = { ...revoke, by: 'knock' }
    assert.equal(untilOf(taking([hand, grant, closed])), start + 900)
    assert.equal(untilOf(taking([closed, grant])), undefined)
    assert.equal(untilOf(taking([revoke, hand, grant])), undefined)
  })

  it('never run for longer than the longest window', () => {
    assert.equal(untilOf(taking([{ ...grant, until: start + 1e9 }])), start + 3600)
  })

  it('that are over or revoked do not let an earlier word in, which the engine shows again', () => {
    const long: Word = { ...grant, until: start + 3600 }
    const short: Word = { ...grant, sequence: 2, made: start + 1, until: start + 20 }
    for (const later of [short, revoke]) {
      const grants = taking([long, later])
      for (let now = start; now < start + 5000; now += 10) {
        grants.tidy(now)
        grants.take(long, now)
        if (now > start + 20) assert.equal(untilOf(grants, now), undefined, `${later.kind} at ${now - start}`)
      }
      assert.equal(grants.size, 0)
      assert.equal(grants.take(long, start), 'late', 'also where the clock is set back')
    }
  })

  it('are taken back by a node whose clock is behind, if it has heard of them', () => {
    const grants = taking([{ ...grant, made: start + 25, until: start + 85 }])
    const made = grants.madeNext(at.service, at.source, start)
    assert.equal(made, start + 26)
    assert.equal(untilOf(taking([{ ...revoke, made }], start, grants)), undefined)
    assert.equal(grants.madeNext('ssh', '192.0.2.8', start), start)
    assert.equal(grants.madeNext(at.service, at.source, start + 50), start + 50)
  })

  it('say again all that a node has said, each word once', () => {
    const later: Word = { ...grant, by: 'hand', sequence: 3, made: start + 11, until: start + 400 }
    assert.deepEqual([...taking([grant, revoke]).by('a')], [revoke])
    // The revocation still holds back what knocks have made before it.
    assert.deepEqual([...taking([revoke, later]).by('a')], [revoke, later])
    assert.deepEqual([...taking([grant]).by('b')], [])
    assert.deepEqual([...taking([grant, later]).running(start + 100)], [later])
  })

  it('come to the same in every order, however often a word comes', () => {
    for (let seed = 0; seed < 2000; seed++) {
      const random = new Random(seed)
      const words = someWords(random, 12)
      const states = Array.from({ length: 4 }, () => stateOf(taking(shuffled([...words, random.of(words)], random))))
      // One node hears them in two parts, of which the other came by way of another node.
      const [first, last] = [words.slice(0, 6), words.slice(6)]
      states.push(
        stateOf(
          taking(
            ['a', 'b', 'c'].flatMap(node => [...taking(last).by(node)]),
            start,
            taking(first),
          ),
        ),
      )
      for (const state of states) assert.deepEqual(state, expected(words), `seed ${seed}`)
    }
  })

  it('forget no revocation where there is no room for it', () => {
    let forgotten = 0
    for (let seed = 0; seed < 2000; seed++) {
      const random = new Random(seed)
      const few = new SharedGrants({ ...limits, mostPerNode: 1 + random.below(4) })
      const words = someWords(random, 40)
      for (const word of [...shuffled(words, random), ...shuffled(words, random)]) {
        few.take(word, start + random.below(30))
        assert.ok(few.size <= 3 * few.limits.mostPerNode, `seed ${seed}`)
      }
      for (const [source, until] of stateOf(few)) {
        if (until === undefined) forgotten++
        else assert.ok(unrevoked(words, source).includes(until), `seed ${seed}: ${source} is open until ${until}`)
      }
    }
    assert.ok(forgotten > 1000)
  })

  it('of one node leave room for those of others', () => {
    const grants = new SharedGrants({ ...limits, mostPerNode: 2 })
    const of = (node: string, source: string) => grants.take({ ...grant, node, source }, start)
    assert.deepEqual([of('a', '192.0.2.1'), of('a', '192.0.2.2')], ['counts', 'counts'])
    assert.equal(of('a', '192.0.2.3'), 'too-many')
    assert.equal(of('b', '192.0.2.3'), 'counts')
    assert.equal(
      grants.take({ ...grant, source: '192.0.2.4', made: start + 61, until: start + 99 }, start + 61),
      'counts',
    )
  })
})

const sources = ['192.0.2.1', '192.0.2.2', '192.0.2.3']

/** No node says two things with one number. */
function someWords(random: Random, count: number): Word[] {
  return Array.from({ length: count }, (_, sequence) => {
    const made = start + random.below(8)
    const facts = { service: 'ssh', source: random.of(sources), node: random.of(['a', 'b', 'c']), epoch: 1, sequence }
    const by = random.of(['knock', 'hand'] as const)
    return random.below(3) > 0
      ? { ...facts, kind: 'grant', by, made, until: made + 20 + random.below(100) }
      : { ...facts, kind: 'revoke', by, made, until: made + limits.longestWindow }
  })
}

function shuffled<T>(list: readonly T[], random: Random): T[] {
  const left = [...list]
  return Array.from(list, () => left.splice(random.below(left.length), 1)[0] as T)
}

const stateOf = (grants: SharedGrants) =>
  new Map(sources.map(source => [source, grants.grantOf('ssh', source, start + 10)?.until]))

/** The ends of the grants that no later word has revoked; a shorter one for which there was no room does not count. */
const unrevoked = (words: readonly Word[], source: string): number[] =>
  words.flatMap(word => {
    if (word.kind !== 'grant' || word.source !== source) return []
    const isOf = (other: Word) => other.source === source && (other.by === 'hand' || other.by === word.by)
    return words.some(other => other.kind === 'revoke' && isOf(other) && compare(other, word) > 0) ? [] : [word.until]
  })

const compare = (a: Word, b: Word) =>
  a.made - b.made || (a.node < b.node ? -1 : a.node > b.node ? 1 : a.sequence - b.sequence)

/** By the words alone: for each source what remains of those of knocks and of hands. */
function expected(words: readonly Word[]): Map<string, number | undefined> {
  const sorted = [...words].sort(compare)
  return new Map(
    sources.map(source => {
      const last = new Map<string, number>()
      for (const word of sorted.filter(one => one.source === source)) {
        if (word.kind === 'grant') last.set(word.by, word.until)
        else for (const by of word.by === 'hand' ? ['knock', 'hand'] : [word.by]) last.delete(by)
      }
      const untils = [...last.values()].filter(until => until > start + 10)
      return [source, untils.length > 0 ? Math.max(...untils) : undefined]
    }),
  )
}
