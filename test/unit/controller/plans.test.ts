import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Opening } from '../../../src/controller/plans.js'
import { PlanBook } from '../../../src/controller/plans.js'
import { Marks } from '../../../src/nft/queueing.js'
import type { ServiceSpec } from '../../../src/nft/service.js'
import { plainService } from './config-support.js'

const services = new Map(['ssh', 'web', 'db'].map(name => [name, { ...plainService, name } as ServiceSpec]))
const opening = (opens: string, window: number | null = null): Opening => ({ opens: opens.split(' '), window })
const ssh = opening('ssh')
const web = opening('web')
const db = opening('db')
const numbers = (book: PlanBook, ...openings: Opening[]) => book.draw(openings, services).numbers

describe('PlanBook', () => {
  it('numbers from 1, one for each different grant', () => {
    const { plans, numbers } = new PlanBook(10).draw([ssh, opening('ssh web', 5), opening('ssh', 60), web], services)
    assert.deepEqual(numbers, [1, 2, 1, 3])
    assert.deepEqual(
      plans.map(({ number, grants }) => [number, grants.map(({ service, seconds }) => `${service.name} ${seconds}`)]),
      [
        [1, ['ssh 60']],
        [2, ['ssh 5', 'web 5']],
        [3, ['web 60']],
      ],
    )
  })

  it("takes the service's own window where the credential names none", () => {
    const own = new Map([['ssh', { ...plainService, name: 'ssh', window: 7 }]])
    const { plans } = new PlanBook(10).draw([ssh, opening('ssh', 9)], own)
    assert.deepEqual(
      plans.map(({ grants }) => grants[0]?.seconds),
      [7, 9],
    )
  })

  it('grants nothing where there is no such service', () => {
    const { plans, numbers } = new PlanBook(10).draw([opening('none'), opening('none ssh')], services)
    assert.deepEqual(
      plans.map(({ grants }) => grants.map(({ service }) => service.name)),
      [[], ['ssh']],
    )
    assert.deepEqual(numbers, [1, 2])
  })

  it('grants by the service as it is now, under the number that it had', () => {
    const book = new PlanBook(10)
    book.draw([ssh], services)
    const wider = new Map([['ssh', { ...plainService, name: 'ssh', prefix4: 24 }]])
    const { plans, numbers } = book.draw([ssh], wider)
    assert.deepEqual([numbers, plans[0]?.grants[0]?.service.prefix4], [[1], 24])
  })

  it('keeps numbers, in whatever order and company they come', () => {
    const book = new PlanBook(10)
    assert.deepEqual(numbers(book, ssh, web), [1, 2])
    assert.deepEqual(numbers(book, web, ssh), [2, 1])
    assert.deepEqual(numbers(book, db, web, ssh), [3, 2, 1])
  })

  it('gives a number anew only two draws after its plan went', () => {
    const book = new PlanBook(10)
    assert.deepEqual(numbers(book, ssh), [1])
    assert.deepEqual(numbers(book, web), [2], 'ssh went')
    assert.deepEqual(numbers(book, web, db), [2, 3], '1 rests')
    assert.deepEqual(numbers(book, web, db, ssh), [2, 3, 1], '1 is free')
  })

  it('does not give a resting number to its own plan either', () => {
    const book = new PlanBook(10)
    numbers(book, ssh)
    numbers(book)
    assert.deepEqual(numbers(book, ssh), [2])
  })

  it('refuses more than there is room for, and goes on with what it had', () => {
    const book = new PlanBook(2)
    assert.deepEqual(numbers(book, ssh, web), [1, 2])
    assert.throws(() => numbers(book, ssh, web, db), /has room for 2 different grants/)
    assert.throws(() => numbers(book, db), /has room for 2/, 'both numbers could still be under way')
    assert.deepEqual(numbers(book, web, ssh), [2, 1])
  })

  it('takes all that a mask has room for, and each number fits under the mask', () => {
    for (const mask of [0xff, 0xff000000, 0x1ff, 0xffff0000, 0x0ffff000]) {
      const marks = new Marks(mask)
      assert.ok(Number.isInteger(marks.maxPlans), `${marks.maxPlans} plans under 0x${mask.toString(16)}`)
      const words = [marks.candidate, marks.pending, marks.refused, marks.plan(1), marks.plan(marks.maxPlans)]
      for (const word of words) assert.equal((word & mask) >>> 0, word, word.toString(16))
      assert.equal(new Set(words).size, words.length)
      assert.ok((marks.plan(marks.maxPlans + 1) & mask) >>> 0 !== marks.plan(marks.maxPlans + 1), 'no room is wasted')
    }
  })
})
