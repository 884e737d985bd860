import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { NftErrorKind } from '../../../src/nft/nft-errors.js'
import { NftError, nftErrorFrom } from '../../../src/nft/nft-errors.js'
import { realNft } from '../../../src/nft/nft.js'
import type { Execute, RunLimits } from '../../../src/util/child-process.js'
import { TimeLimitError } from '../../../src/util/child-process.js'

const couldNot = (what: string) => `internal:0:0-0: Error: Could not process rule: ${what}\n\n`

const table: readonly (readonly [string, string, NftErrorKind, string])[] = [
  [
    'a chain that is not there',
    couldNot('No such file or directory'),
    'not-found',
    'Could not process rule: No such file or directory',
  ],
  [
    'a set that is not there',
    'internal:0:0-0: Error: No such file or directory; did you mean set ‘i6’ in table inet ‘pkctl’?\n',
    'not-found',
    'No such file or directory; did you mean set ‘i6’ in table inet ‘pkctl’?',
  ],
  [
    'a table that is not there',
    'Error: No such file or directory\nlist table inet pkctl\n                ^^^^^\n',
    'not-found',
    'No such file or directory',
  ],
  ['a set that does not exist', '/dev/stdin:1:1-9: Error: Set does not exist\n', 'not-found', 'Set does not exist'],
  ['something there already', couldNot('File exists'), 'exists', 'Could not process rule: File exists'],
  ['something in use', couldNot('Device or resource busy'), 'busy', 'Could not process rule: Device or resource busy'],
  [
    'a full set',
    couldNot('Too many open files in system'),
    'full',
    'a set of the table is full, and takes no further element',
  ],
  [
    'no rights',
    'Error: Could not process rule: Operation not permitted\nadd table inet x\n',
    'permission',
    'Could not process rule: Operation not permitted',
  ],
  [
    'no rights at the cache',
    'netlink: Error: cache initialization failed: Operation not permitted\n',
    'permission',
    'cache initialization failed: Operation not permitted',
  ],
  [
    'no rights to a socket',
    'src/mnl.c:60: Unable to initialize Netlink socket: Operation not permitted\n',
    'permission',
    'src/mnl.c:60: Unable to initialize Netlink socket: Operation not permitted',
  ],
  [
    'no nf_tables',
    'src/mnl.c:60: Unable to initialize Netlink socket: Protocol not supported\n',
    'unsupported',
    'src/mnl.c:60: Unable to initialize Netlink socket: Protocol not supported',
  ],
  [
    'no such feature',
    couldNot('Operation not supported'),
    'unsupported',
    'Could not process rule: Operation not supported',
  ],
  [
    'an overlap',
    'internal:0:0-0: Error: interval overlaps with an existing one\n',
    'other',
    'interval overlaps with an existing one',
  ],
  [
    'a phrase that is only in the quoted input',
    '/dev/stdin:1:30-33: Error: syntax error, unexpected string\nadd rule inet x y comment "No such file or directory: File exists"\n                  ^^^^^^^\n',
    'other',
    'syntax error, unexpected string',
  ],
  [
    'a phrase in the input, and another one in the complaint',
    'Error: Could not process rule: File exists\nadd rule inet x y comment "Operation not permitted"\n',
    'exists',
    'Could not process rule: File exists',
  ],
  [
    'two complaints',
    `${couldNot('Device or resource busy')}${couldNot('File exists')}`,
    'busy',
    'Could not process rule: Device or resource busy',
  ],
  [
    'a warning before it',
    `warning: something\n${couldNot('File exists')}`,
    'exists',
    'Could not process rule: File exists',
  ],
  [
    'iptables',
    'iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)\n',
    'permission',
    'iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)',
  ],
  ['silence', '', 'other', 'failed without a message'],
  ['empty lines', '\n  \n', 'other', 'failed without a message'],
]

describe('nftErrorFrom', () => {
  for (const [name, stderr, kind, message] of table) {
    it(`${kind}: ${name}`, () => {
      const error = nftErrorFrom('nft --check', stderr)
      assert.ok(error instanceof NftError)
      assert.deepEqual(
        [error.kind, error.message, error.stderr, error.operation, error.name],
        [kind, `nft --check: ${message}`, stderr, 'nft --check', 'NftError'],
      )
    })
  }
})

describe('realNft', () => {
  const command = { add: { table: { family: 'inet', name: 'pkctl' } } }

  /** What is run, and what it answers. */
  function scripted(answer: Partial<Awaited<ReturnType<Execute>>> | Error) {
    const runs: { argv: readonly string[]; input: string | undefined }[] = []
    const run: Execute = (file, args, input) => {
      runs.push({ argv: [file, ...args], input })
      return answer instanceof Error
        ? Promise.reject(answer)
        : Promise.resolve({ status: 0, stdout: '', stderr: '', ...answer })
    }
    return { nft: realNft(run), runs }
  }

  const kindOf = (kind: NftErrorKind) => (error: unknown) => error instanceof NftError && error.kind === kind

  it('gives one batch to one process', async () => {
    const { nft, runs } = scripted({})
    await nft.apply([command, command])
    await nft.check([command])
    assert.deepEqual(
      runs.map(({ input }) => JSON.parse(input ?? '') as unknown),
      [{ nftables: [command, command] }, { nftables: [command] }],
    )
    assert.deepEqual(
      runs.map(({ argv }) => argv.includes('-c') && argv.lastIndexOf('-c') > 1),
      [false, true],
    )
  })

  it('runs nothing for no commands', async () => {
    const { nft, runs } = scripted(new Error('not to be run'))
    await nft.apply([])
    await nft.check([])
    assert.deepEqual(runs, [])
  })

  it('lists with and without elements, and one set', async () => {
    const { nft, runs } = scripted({ stdout: '{"nftables": [{"table": {"family": "inet", "name": "pkctl"}}]}' })
    assert.equal((await nft.list()).present, true)
    await nft.list({ elements: false })
    await nft.listSet('map', 'm')
    assert.deepEqual(
      runs.map(({ argv }) => argv.join(' ')),
      ['nft -j list table inet pkctl', 'nft -j -t list ruleset inet', 'nft -j list map inet pkctl m'],
    )
  })

  it('takes a table or set that is not there for an empty one', async () => {
    const { nft } = scripted({ status: 1, stderr: 'Error: No such file or directory\nlist table inet pkctl\n' })
    assert.equal((await nft.list()).present, false)
    assert.equal((await nft.listSet('set', 's')).sets.size, 0)
  })

  it('fails with a kind', async () => {
    const { nft } = scripted({ status: 1, stderr: couldNot('File exists') })
    await assert.rejects(nft.apply([command]), kindOf('exists'))
    await assert.rejects(nft.check([command]), kindOf('exists'))
    await assert.rejects(nft.list(), kindOf('exists'))
  })

  it('says which request had no answer, and gives it time', async () => {
    const limits: (RunLimits | undefined)[] = []
    const nft = realNft((_file, _args, _input, given) => {
      limits.push(given)
      return Promise.reject(new TimeLimitError(given?.name ?? '', 10))
    })
    const message = (text: string) => (error: unknown) =>
      error instanceof NftError && error.kind === 'no-answer' && error.message === text
    const late = 'it did not end within 10 s and was killed'
    await assert.rejects(nft.list(), message(`nft list table inet pkctl: ${late}`))
    await assert.rejects(nft.apply([command, command]), message(`nft, 2 commands (add table): ${late}`))
    await assert.rejects(nft.list({ elements: false }), message(`nft list ruleset inet: ${late}`))
    assert.equal(limits.length, 3, 'what had no answer is not asked in another way')
  })

  it('says that there is no nft', async () => {
    const enoent = Object.assign(new Error('spawn nft ENOENT'), { code: 'ENOENT' })
    await assert.rejects(scripted(enoent).nft.list(), kindOf('missing-tool'))
    await assert.rejects(
      scripted({ status: 127, stderr: 'sh: nft: not found' }).nft.apply([command]),
      kindOf('missing-tool'),
    )
    // Where the shell ended first, because nothing read from `cat`.
    for (const stderr of ['/bin/sh: 1: nft: not found\n', 'pkctl-nft: line 1: nft: command not found\n'])
      await assert.rejects(scripted({ status: 1, stderr }).nft.apply([command]), kindOf('missing-tool'))
  })
})
