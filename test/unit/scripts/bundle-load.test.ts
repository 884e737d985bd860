/** scripts/bundle/load.cjs loads the programs of the packages, and uses what was compiled in advance. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { after, beforeEach, describe, it } from 'node:test'
import { root } from '../../support/commands.js'

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-bundle-'))
after(() => {
  fs.rmSync(folder, { recursive: true })
})

const compiledFolder = path.join(folder, 'compiled', `${process.version}-${process.arch}`)
const write = (name: string, text: string) => {
  fs.writeFileSync(path.join(folder, name), text)
}

function node(script: string): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', script], { cwd: folder, encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  return stdout
}
const start = () => node("require('./load.cjs').load('main.cjs')")
const compile = () => node("const { load, keepCompiled } = require('./load.cjs'); load('main.cjs'); keepCompiled()")

describe('the programs of a bundle', () => {
  beforeEach(() => {
    fs.rmSync(folder, { recursive: true })
    fs.mkdirSync(folder)
    fs.copyFileSync(path.join(root, 'scripts/bundle/load.cjs'), path.join(folder, 'load.cjs'))
    write(
      'main.cjs',
      "const { text } = require('./part.cjs')\nconsole.log(text(), require('node:path').basename(__filename))",
    )
    write('part.cjs', "exports.text = () => 'first'")
  })

  it('load their files once, and what is built into Node.js', () => {
    write(
      'main.cjs',
      "console.log(require('./part.cjs') === require('./part.cjs'), require('node:path').basename(__filename))",
    )
    assert.equal(start(), 'true main.cjs\n')
  })

  it('load nothing else than the files where nothing is compiled', () => {
    assert.equal(start(), 'first main.cjs\n')
    assert.ok(!fs.existsSync(path.join(folder, 'compiled')))
  })

  it('use what is compiled: a file of the same length that was changed by hand is not read', () => {
    compile()
    assert.deepEqual(fs.readdirSync(compiledFolder).sort(), ['main.cjs', 'part.cjs'])
    write('part.cjs', "exports.text = () => 'other'")
    assert.equal(start(), 'first main.cjs\n')
  })

  it('compile again what is rubbish, or of another file', () => {
    compile()
    write('part.cjs', "exports.text = () => 'of another length'")
    assert.equal(start(), 'of another length main.cjs\n')
    for (const rubbish of [
      Buffer.alloc(0),
      Buffer.alloc(64, 255),
      fs.readFileSync(path.join(compiledFolder, 'main.cjs')),
    ]) {
      fs.writeFileSync(path.join(compiledFolder, 'part.cjs'), rubbish)
      assert.equal(start(), 'of another length main.cjs\n')
    }
  })

  it('keep nothing that other versions of Node.js, or of pkctl, have compiled', () => {
    fs.mkdirSync(path.join(folder, 'compiled/v1.0.0-x64'), { recursive: true })
    fs.mkdirSync(compiledFolder)
    fs.writeFileSync(path.join(compiledFolder, 'part-of-before.cjs'), '')
    compile()
    assert.deepEqual(fs.readdirSync(path.join(folder, 'compiled')), [path.basename(compiledFolder)])
    assert.deepEqual(fs.readdirSync(compiledFolder).sort(), ['main.cjs', 'part.cjs'])
  })
})
