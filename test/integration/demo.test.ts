/** The demo as a newcomer runs it, once to its end and once interrupted; it leaves nothing behind. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { it } from 'node:test'
import { Background, dist, run, until } from '../support/commands.js'

const demo = [process.execPath, path.join(dist, 'test/demo.js')]

/** Namespaces, directories and rules that the demo of this process made. */
async function leftovers(pid: number | undefined): Promise<string[]> {
  const namespaces = (await run(['ip', 'netns', 'list'])).stdout
    .split('\n')
    .filter(line => line.startsWith(`pk${pid}-`))
  return namespaces
}

it('the demo shows each step, and exits 0', async () => {
  const background = new Background(demo)
  assert.equal(await background.exited, 0, background.output)
  for (const shown of [
    /the port is closed/,
    /open after \d+\.\d ms/,
    /replayed/,
    /IPv6/,
    /granted: /,
    /nft list ruleset: empty/,
  ]) {
    assert.match(background.output, shown)
  }
  assert.deepEqual(await leftovers(background.child.pid), [])
})

it('Ctrl-C in the middle of the demo leaves nothing behind', async () => {
  const background = new Background(demo)
  await background.says(/IPv4: knock/)
  const directory = /configuration|pkctl-lab-\w+/.exec(background.output)
  background.child.kill('SIGINT')
  assert.equal(await background.exited, 130)
  await until(async () => (await leftovers(background.child.pid)).length === 0)
  if (directory) assert.equal(fs.existsSync(path.join('/tmp', directory[0])), false)
})
