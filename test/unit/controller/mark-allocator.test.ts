import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Allocation, ActionRequest } from '../../../src/controller/ruleset/mark-allocator.js'
import { MarkAllocator } from '../../../src/controller/ruleset/mark-allocator.js'
import { Marks } from '../../../src/nft/table/marks.js'
import type { ServiceSpec } from '../../../src/nft/table/service-spec.js'
import { plainService } from '../config/config-support.js'

const services: ReadonlyMap<string, ServiceSpec> = new Map(
  ['ssh', 'web', 'db'].map(name => [name, { ...plainService, name }]),
)
const opening = (opens: string, window: number | null = null): ActionRequest => ({
  opens: opens.split(' '),
  window,
  revokes: false,
  passOn: false,
})
const ssh = opening('ssh')
const web = opening('web')
const db = opening('db')
/** An allocator whose first number is `first`. */
const allocatorFrom = (first: number, maxActions = 10) => new MarkAllocator(maxActions, () => first - 1)
const numbersOf = ({ actionOf }: Allocation) => actionOf.map(({ number }) => number)
/** The numbers of a drawing that counts. */
function numbers(allocator: MarkAllocator, ...openings: ActionRequest[]): number[] {
  const drawing = allocator.allocate(openings, services)
  drawing.commit()
  return numbersOf(drawing)
}
/** The numbers of a drawing that comes to nothing. */
const tried = (allocator: MarkAllocator, ...openings: ActionRequest[]) =>
  numbersOf(allocator.allocate(openings, services))

describe('MarkAllocator', () => {
  it('has one number for each different grant', () => {
    const drawing = allocatorFrom(1).allocate([ssh, opening('ssh web', 5), opening('ssh', 60), web], services)
    assert.deepEqual(numbersOf(drawing), [1, 2, 1, 3])
    assert.deepEqual(
      drawing.actions.map(({ number, grants }) => [
        number,
        grants.map(({ service, seconds }) => `${service.name} ${seconds}`),
      ]),
      [
        [1, ['ssh 60']],
        [2, ['ssh 5', 'web 5']],
        [3, ['web 60']],
      ],
    )
    for (const plan of drawing.actionOf) assert.ok(drawing.actions.some(each => each.number === plan.number))
  })

  const starts: readonly (readonly [random: number, maxActions: number, want: readonly number[]])[] = [
    [0, 10, [1, 2, 3]],
    [6, 10, [7, 8, 9]],
    [8, 10, [9, 10, 1]],
    [9, 10, [10, 1, 2]],
    [2, 3, [3, 1, 2]],
  ]
  for (const [random, maxActions, want] of starts) {
    it(`begins where ${random} of ${maxActions} tells it to, and goes round: ${want.join(', ')}`, () => {
      const asked: number[] = []
      const allocator = new MarkAllocator(maxActions, below => {
        asked.push(below)
        return random
      })
      assert.deepEqual([numbers(allocator, ssh, web, db), asked], [want, [maxActions]])
      assert.deepEqual([numbers(allocator, ssh, web, db), asked], [want, [maxActions]], 'it is asked once')
    })
  }

  it("takes the service's own window where the credential names none", () => {
    const own = new Map([['ssh', { ...plainService, name: 'ssh', window: 7 }]])
    const { actions } = allocatorFrom(1).allocate([ssh, opening('ssh', 9)], own)
    assert.deepEqual(
      actions.map(({ grants }) => grants[0]?.seconds),
      [7, 9],
    )
  })

  it('grants nothing where there is no such service', () => {
    const drawing = allocatorFrom(1).allocate([opening('none'), opening('none ssh')], services)
    assert.deepEqual(
      drawing.actions.map(({ grants }) => grants.map(({ service }) => service.name)),
      [[], ['ssh']],
    )
    assert.deepEqual(numbersOf(drawing), [1, 2])
  })

  it('grants by the service as it is now, under the number that it had', () => {
    const allocator = allocatorFrom(5)
    numbers(allocator, ssh)
    const wider = new Map([['ssh', { ...plainService, name: 'ssh', prefix4: 24 }]])
    const drawing = allocator.allocate([ssh], wider)
    assert.deepEqual([numbersOf(drawing), drawing.actionOf[0]?.grants[0]?.service.prefix4], [[5], 24])
    assert.deepEqual(drawing.actions, drawing.actionOf)
  })

  it('keeps numbers, in whatever order and company they come', () => {
    const allocator = allocatorFrom(1)
    assert.deepEqual(numbers(allocator, ssh, web), [1, 2])
    assert.deepEqual(numbers(allocator, web, ssh), [2, 1])
    assert.deepEqual(numbers(allocator, db, web, ssh), [3, 2, 1])
  })

  it('gives a number anew only two drawings after its plan went', () => {
    const allocator = allocatorFrom(1, 3)
    assert.deepEqual(numbers(allocator, ssh), [1])
    assert.deepEqual(numbers(allocator, web), [2], 'ssh went')
    assert.deepEqual(numbers(allocator, web, db), [2, 3], '1 rests')
    assert.deepEqual(numbers(allocator, web, db, ssh), [2, 3, 1], '1 is free')
  })

  it('does not give a resting number to its own plan either', () => {
    const allocator = allocatorFrom(1, 2)
    numbers(allocator, ssh)
    numbers(allocator)
    assert.deepEqual(numbers(allocator, ssh), [2])
    assert.deepEqual(numbers(allocator, ssh, web), [2, 1])
  })

  it('takes a drawing that was not kept for none', () => {
    const allocator = allocatorFrom(1)
    assert.deepEqual(numbers(allocator, ssh, web), [1, 2])
    for (let i = 0; i < 5; i++) {
      const [taken] = tried(allocator, db)
      assert.ok(taken !== undefined && taken !== 1 && taken !== 2, `${taken} is in use`)
      assert.deepEqual(tried(allocator, web, ssh), [2, 1])
    }
    assert.deepEqual(numbers(allocator, web, ssh), [2, 1])
  })

  it('lets a number rest, and no longer, however many drawings fail meanwhile', () => {
    const allocator = allocatorFrom(1, 2)
    assert.deepEqual(numbers(allocator, ssh), [1])
    assert.deepEqual(numbers(allocator, web), [2], 'ssh went')
    for (let i = 0; i < 3; i++) {
      assert.throws(() => tried(allocator, web, db), /has room for 2/, '1 rests')
      assert.deepEqual(tried(allocator), [])
    }
    assert.deepEqual(numbers(allocator, web), [2])
    assert.deepEqual(numbers(allocator, web, db), [2, 1])
  })

  it('does not give away a number in use, however many drawings without its plan fail', () => {
    const other = fc.constantFrom(ssh, web, db, opening('ssh', 5), opening('web', 5))
    const drawing = fc.record({ openings: fc.array(other, { maxLength: 4 }), kept: fc.boolean() })
    const start = fc.integer({ min: 1, max: 9 })
    fc.assert(
      fc.property(start, fc.array(drawing, { maxLength: 30 }), (start, drawings) => {
        const allocator = allocatorFrom(start, 9)
        /** What each number grants in the kernel, and what it granted before that. */
        let [now, before] = [new Map<number, string>(), new Map<number, string>()]
        for (const { openings, kept } of drawings) {
          const { actions, commit } = allocator.allocate(openings, services)
          const next = new Map(actions.map(({ number, grants }) => [number, JSON.stringify(grants)]))
          assert.equal(new Set(next.values()).size, next.size, 'one number for each grant')
          for (const [number, grants] of next) {
            assert.ok(number >= 1 && number <= 9)
            assert.equal(now.get(number) ?? grants, grants, `${number} is in use`)
            assert.ok(now.has(number) || !before.has(number), `${number} rests`)
          }
          for (const [number, grants] of now) {
            const again = [...next].find(([, each]) => each === grants)
            assert.equal(again?.[0] ?? number, number, 'and is kept')
          }
          if (!kept) continue
          commit()
          ;[now, before] = [next, now]
        }
      }),
    )
  })

  it('refuses more than there is room for, and goes on with what it had', () => {
    const allocator = allocatorFrom(1, 2)
    assert.deepEqual(numbers(allocator, ssh, web), [1, 2])
    assert.throws(() => numbers(allocator, ssh, web, db), /has room for 2 different grants/)
    assert.throws(() => numbers(allocator, db), /has room for 2/, 'both numbers could still be under way')
    assert.deepEqual(numbers(allocator, web, ssh), [2, 1])
  })

  it('takes all that a mask has room for, and each number fits under the mask', () => {
    for (const mask of [0xff, 0xff000000, 0x1ff, 0xffff0000, 0x0ffff000]) {
      const marks = new Marks(mask)
      assert.ok(Number.isInteger(marks.maxActions), `${marks.maxActions} plans under 0x${mask.toString(16)}`)
      const words = [marks.candidate, marks.pending, marks.refused, marks.action(1), marks.action(marks.maxActions)]
      for (const word of words) assert.equal((word & mask) >>> 0, word, word.toString(16))
      assert.equal(new Set(words).size, words.length)
      assert.ok(
        (marks.action(marks.maxActions + 1) & mask) >>> 0 !== marks.action(marks.maxActions + 1),
        'no room is wasted',
      )
    }
  })
})
