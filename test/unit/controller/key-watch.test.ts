import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import type { KeyFile, KeyPath, SshCredential } from '../../../src/config/index.js'
import { KeyWatch } from '../../../src/controller/verify/key-watch.js'
import type { CredentialKeys } from '../../../src/controller/verify/signature-job.js'
import { noTriggers } from '../config/config-support.js'
import { serverKey } from './signed-support.js'

const at = (name: string): KeyPath => ({ written: name, user: null, path: `/${name}` })
const staff: SshCredential = {
  ...{ name: 'staff', type: 'ssh', opens: ['ssh'], closes: [], window: null, interfaces: [], rate: null },
  ...{
    triggers: noTriggers,
    enabled: true,
    port: null,
    maxWindow: null,
    skew: 10,
    onBehalfOf: [],
    principals: [],
    ...serverKey,
  },
  ...{ authorizedKeys: [at('keys')], caKeys: [], revokedKeys: [at('revoked')] },
}

/** Files by name; a text is why a file does not count. */
function bench(files: Record<string, Buffer | string>) {
  const used: (readonly CredentialKeys[])[] = []
  const said: string[] = []
  let version = 0
  const say = (message: string) => void said.push(message)
  const watch = new KeyWatch(
    ({ written }, known) => {
      const file: KeyFile = { stamp: `${version}`, content: files[written] ?? 'missing' }
      return Promise.resolve(known === file.stamp ? undefined : file)
    },
    () => ({
      useKeys: keys => {
        used.push(keys)
        return Promise.resolve(keys.map(({ name }) => ({ credential: name, keys: 1, authorities: 0, problems: [] })))
      },
    }),
    { error: say, warn: say, info: say, debug: say },
  )
  /** Time goes on until the files are looked at again. */
  const pass = async () => {
    version++
    mock.timers.tick(2000)
    for (let turn = 0; turn < 20; turn++) await Promise.resolve()
  }
  const last = () => used.at(-1)?.[0]
  return { watch, used, said, pass, last, contents: () => last()?.files.map(({ content }) => String(content)) }
}

describe('the watch over files of keys', () => {
  const test = (name: string, run: () => Promise<void>) =>
    it(name, async () => {
      mock.timers.enable({ apis: ['setInterval', 'setTimeout'] })
      try {
        await run()
      } finally {
        mock.timers.reset()
      }
    })

  test('gives the keys on when there are any, and when they change', async () => {
    const files = { keys: Buffer.from('a'), revoked: Buffer.from('') }
    const { watch, used, pass, contents, last, said } = bench(files)
    await watch.follow([])
    assert.equal(used.length, 0)
    await watch.follow([staff])
    assert.deepEqual([contents(), last()?.isShut], [['a', ''], false])
    await pass()
    assert.equal(used.length, 1, 'nothing has changed')
    files.keys = Buffer.from('b')
    await pass()
    assert.deepEqual([used.length, contents()], [2, ['b', '']])
    assert.equal(said.length, 2)
    await watch.follow([{ ...staff, opens: ['web'] }])
    assert.deepEqual([used.length, last()?.opens], [3, ['web']])
    await watch.follow([{ ...staff, opens: [], closes: ['ssh'] }])
    assert.deepEqual(last()?.opens, ['ssh'], 'of these a knock can name some')
    await watch.follow([])
    assert.deepEqual(used.at(-1), [])
    watch.stop()
  })

  test('takes the keys away of a file that does not count, says so once, and gives them back', async () => {
    const files: Record<string, Buffer | string> = { keys: Buffer.from('a'), revoked: Buffer.from('') }
    const { watch, pass, contents, last, said } = bench(files)
    await watch.follow([staff])
    files['keys'] = 'keys can be written by others'
    await pass()
    await pass()
    assert.deepEqual([contents(), last()?.isShut], [[''], false])
    assert.deepEqual(
      said.filter(one => one.includes('written')),
      ['credential staff: keys can be written by others'],
    )
    files['keys'] = Buffer.from('a')
    await pass()
    assert.deepEqual(contents(), ['a', ''])
    watch.stop()
  })

  test('shuts the credential without its list of revoked keys', async () => {
    const files: Record<string, Buffer | string> = { keys: Buffer.from('a'), revoked: 'revoked cannot be read' }
    const { watch, pass, last, said } = bench(files)
    await watch.follow([staff])
    assert.equal(last()?.isShut, true)
    assert.ok(said.includes('credential staff: revoked cannot be read; no key of staff counts until it is there'))
    files['revoked'] = Buffer.from('')
    await pass()
    assert.equal(last()?.isShut, false)
    watch.stop()
  })

  test('does not wait for a file system without end', async () => {
    const { watch } = bench({})
    Object.assign(watch, { read: () => new Promise(() => undefined) })
    const done = watch.follow([staff])
    mock.timers.tick(5000)
    await done
    watch.stop()
  })
})
