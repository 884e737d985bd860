/** Files that another process swaps while they are read: what is read is of one file, and that file is the right one. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { readKeyFile } from '../../../src/config/index.js'
import { nodeReader } from '../../../src/config/reader.js'
import type { Background } from '../../support/commands.js'
import { startSwapping } from '../../support/swapper.js'

const [owner, other] = [61_001, 61_002]
const [own, foreign] = ['own '.repeat(5000), 'foreign '.repeat(5000)]
const reads = 2000
const mostReads = 200_000

/** Whether the file was there, and other things in its place. */
const isVaried = (seen: ReadonlyMap<string, number>) => seen.has('read') && seen.size > 2
const goesOn = (done: number, seen: ReadonlyMap<string, number>) =>
  done < reads || (done < mostReads && !isVaried(seen))

describe('a file that is swapped again and again', { skip: process.geteuid?.() !== 0 && 'needs root' }, () => {
  let directory: string
  let file: string
  let swapper: Background
  const start = async (withOther: boolean) => {
    swapper = await startSwapping({ file, own, foreign, owner, other, withOther })
  }
  beforeEach(() => {
    const above = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-swapped-'))
    fs.chmodSync(above, 0o755)
    directory = path.join(above, 'home')
    file = path.join(directory, 'file')
    fs.mkdirSync(directory)
  })
  afterEach(async () => {
    await swapper.stop('SIGKILL')
    fs.rmSync(path.dirname(directory), { recursive: true, force: true })
  })

  it('shows no line of a file of another user, as a file with keys', async () => {
    await start(true)
    const seen = new Map<string, number>()
    for (let i = 0; goesOn(i, seen); i++) {
      const { content = '' } = (await readKeyFile({ written: 'FILE', user: null, path: file }, owner)) ?? {}
      if (typeof content !== 'string') assert.equal(content.toString(), own)
      const what = typeof content === 'string' ? content.replaceAll(/.*\/|\d+/g, '').slice(0, 60) : 'read'
      seen.set(what, (seen.get(what) ?? 0) + 1)
    }
    assert.ok(isVaried(seen), JSON.stringify([...seen]))
  })

  it('is read as it was looked at, as a file with a key', async () => {
    await start(false)
    const seen = new Map<string, number>()
    for (let i = 0; goesOn(i, seen); i++) {
      // The other process gets its turn.
      if (i % 100 === 0) await new Promise(setImmediate)
      let what
      try {
        const { stat, bytes } = nodeReader.readChecked(file, 65_536)
        if (stat.isFile()) assert.equal(bytes.toString(), own)
        else assert.equal(bytes.length, 0)
        what = stat.isFile() ? 'read' : 'not a file'
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error
        what = (error as NodeJS.ErrnoException).code ?? (error as Error).message.replace(/.* is/, 'is')
      }
      seen.set(what, (seen.get(what) ?? 0) + 1)
    }
    assert.ok(isVaried(seen), JSON.stringify([...seen]))
  })
})
