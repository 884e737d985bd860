/** The fuzzer, in short: the kept corpus, and some changed inputs for each reader of input from outside. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { corpusFolders } from '../../fuzz/corpus.js'
import { runFuzzer } from '../../fuzz/fuzzer.js'
import { targets } from '../../fuzz/targets/index.js'
import { inputOf } from '../../fuzz/worker.js'

const names = targets.map(({ name }) => name)

describe('the readers of input from outside', async () => {
  // The same inputs each time: what fails can be made again, and a change that breaks nothing stays green.
  const { findings, done } = await runFuzzer({ names, seed: 1, runs: null, seconds: null })
  for (const name of names) {
    it(`no input breaks the reader ${name}`, () => {
      const own = findings.filter(({ target }) => target === name)
      const show = own.map(
        ({ kept, seed, what }) => `${kept ?? `npm run fuzz -- --seed ${seed} --runs 1 ${name}`}: ${what}`,
      )
      assert.equal(show.join('\n'), '')
      assert.ok(done.has(name))
    })
  }
})

describe('the fuzzer', () => {
  it('makes the same input of the same seed', () => {
    for (const target of targets) {
      const [first, second] = [inputOf(target), inputOf(target)]
      for (const seed of [0, 1, 2 ** 31, 2 ** 32 - 1]) assert.deepEqual(first(seed), second(seed), target.name)
    }
  })

  it('knows the target of each folder of the corpus', () => {
    assert.deepEqual(
      corpusFolders().filter(folder => !names.includes(folder)),
      [],
    )
  })
})
