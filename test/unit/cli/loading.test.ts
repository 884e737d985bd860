/** Which libraries a command loads: cron and knockd wait for each, and some of them are native. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import path from 'node:path'
import { dist, must } from '../../support/commands.js'

/** Tells the name of every package, and of every room of src, that is loaded, on stderr of the command. */
const hooks = `
import { writeSync } from 'node:fs'
export async function load(url, context, next) {
  const [, name] = /.*[/]node_modules[/]([^/]+)/.exec(url) ?? /[/]dist[/](src[/][^/]+)[/]/.exec(url) ?? []
  if (name) writeSync(2, 'loaded ' + name + '\\n')
  return next(url, context)
}`
const dataUrl = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`
const preload = dataUrl(`
import { register } from 'node:module'
register(${JSON.stringify(dataUrl(hooks))})`)

// Not the bundle: what it has in one file, it still loads.
const pkctl = path.join(dist, 'src/cli/pkctl.js')

async function everythingLoaded(...args: string[]): Promise<string[]> {
  const said = await must(['sh', '-c', '"$@" 2>&1', 'sh', process.execPath, '--import', preload, pkctl, ...args])
  return [...new Set([...said.matchAll(/^loaded (.*)$/gm)].map(([, name]) => name as string))].sort()
}

/** Packages alone. */
const loaded = async (...args: string[]) => (await everythingLoaded(...args)).filter(name => !name.startsWith('src/'))

describe('what a command loads', () => {
  it('the version: the reader of the command line, and no more', async () => {
    assert.deepEqual(await everythingLoaded('--version'), ['commander', 'src/cli', 'src/util'])
  })

  it('commands that change and show services: that, too', async () => {
    for (const command of ['init', 'add', 'list', 'status']) {
      assert.deepEqual(await loaded(command, '--help'), ['commander'], command)
    }
  })

  it('the client: no library of the daemon', async () => {
    for (const command of ['knock', 'connect', 'keygen']) {
      const names = await loaded(command, '--help')
      for (const name of ['zod', 'yaml', 'winston']) assert.ok(!names.includes(name), `${command}: ${names.join(' ')}`)
    }
  })

  it('a check of the configuration: what reads it', async () => {
    const names = await loaded('check', '--help')
    for (const name of ['zod', 'yaml']) assert.ok(names.includes(name), names.join(' '))
    assert.ok(!names.includes('ffi-rs'), names.join(' '))
  })
})
