/**
 * What a new knock format takes: the two files in test/fixtures/new-format, and two lines in the list of types. A copy of
 * the compiled program gets these and nothing else, and its daemon opens a service for a knock of that format.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { dist, root } from '../support/commands.js'
import type { Background } from '../support/commands.js'
import { toy } from '../fixtures/new-format/knock/toy.js'
import { knockPort } from '../support/knocks.js'
import { client4, client6, Lab, server4, server6, stranger4, stranger6 } from '../support/lab.js'

const list = 'config/credentials/credential-types.js'
const added = {
  import: "import { toy } from '../../knock/toy.js'",
  entry: "  { type: 'toy', formats: [toy], options: () => import('./toy.js') },",
}

/** Copies the program with the new format into a directory, and gives its source folder. */
function copyWithFormat(directory: string): string {
  const folder = path.join(directory, 'dist/src')
  fs.cpSync(path.join(dist, 'src'), folder, { recursive: true })
  fs.cpSync(path.join(dist, 'test/fixtures/new-format'), folder, { recursive: true, errorOnExist: true, force: false })
  for (const name of ['package.json', 'node_modules', 'templates'])
    fs.symlinkSync(path.join(root, name), path.join(directory, name))
  const lines = fs.readFileSync(path.join(folder, list), 'utf8').split('\n')
  lines.splice(lines.findIndex(line => line.startsWith('export const credentialTypes')) + 1, 0, added.entry)
  fs.writeFileSync(path.join(folder, list), [added.import, ...lines].join('\n'))
  return folder
}

describe('a new knock format of two files and its entry in the list', () => {
  let lab: Lab
  let daemon: Background
  let program: string
  const credentials =
    'services: { ssh: { port: 22 } }\ncredentials:\n  robot: { type: toy, key: secret, opens: [ssh] }\n'

  before(async () => {
    lab = await Lab.create()
    program = path.join(copyWithFormat(path.join(lab.directory, 'program')), 'cli/pkctl.js')
    await lab.serve(22)
    daemon = lab.start('server', [process.execPath, program, 'daemon', '--config', lab.config(credentials)])
    await daemon.says(/listening on queue/)
  })
  after(() => lab.remove())

  const check = (name: string, options: string) =>
    lab.on([process.execPath, program, 'check', '--config', lab.file(name, `credentials: { robot: { ${options} } }\n`)])

  it('has its options in the configuration, with errors at their places', async () => {
    const { status, stderr } = await check(
      'wrong.yaml',
      'type: toy, key: secret, on-open: { command: [a] }, port: 70000',
    )
    assert.match(stderr, /wrong\.yaml:1:\d+: credentials\.robot\.port: expected a port/)
    assert.equal(status, 1)
  })

  it('keeps its secret out of messages, and asks for one', async () => {
    assert.doesNotMatch((await check('list.yaml', 'type: toy, key: [hidden]')).stderr, /hidden/)
    assert.match((await check('without.yaml', 'type: toy')).stderr, /credentials\.robot.*key/)
  })

  it("is in the editor's JSON Schema", async () => {
    const { stdout } = await lab.on([process.execPath, program, 'check', '--schema'])
    assert.match(stdout, /The kind of knock: toy/)
  })

  const send = (host: string, from: string, key = 'secret') => {
    const request = { port: knockPort, time: Date.now() / 1000, random: randomBytes }
    const hex = toy.encode(request, { key: Buffer.from(key) }).toString('hex')
    return { send: { host, port: knockPort, from, hex } }
  }

  for (const [family, host, source, stranger] of [
    ['IPv4', server4, client4, stranger4],
    ['IPv6', server6, client6, stranger6],
  ] as const) {
    it(`${family}: opens a service at once, for its sender alone, and once`, async () => {
      const connect = (from: string) => ({ connect: { host, port: 22, from } })
      const knock = send(host, source)
      const [, forged] = await lab.peer(send(host, source, 'other'), connect(source))
      assert.equal(forged?.result, 'timeout', 'closed after a knock with another key')
      const [, opened] = await lab.peer(knock, connect(source))
      assert.equal(opened?.result, 'open', 'open after the knock')
      const replay = { send: { ...knock.send, from: stranger } }
      const [, replayed] = await lab.peer(replay, connect(stranger))
      assert.equal(replayed?.result, 'timeout', 'closed to another source, which sends the same knock')
      await daemon.says(/knock by robot from \S+ opens ssh/)
      await daemon.says(/refused: replayed/)
    })
  }
})
