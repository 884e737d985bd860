import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { main } from '../../../src/cli/program.js'
import { parsePkdKey } from '../../../src/knock/pkd.js'

/** What one command line printed, and its exit status. */
async function pkctl(...argv: string[]) {
  const said = { out: [] as string[], error: [] as string[], hint: [] as string[], warn: [] as string[] }
  const status = await main(argv, {
    out: line => void said.out.push(line),
    error: message => void said.error.push(message),
    hint: message => void said.hint.push(message),
    warn: message => void said.warn.push(message),
    strong: text => text,
    errorLine: () => undefined,
    difference: () => undefined,
  })
  return { status, ...said }
}

describe('pkctl keygen', () => {
  let directory: string

  before(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-keygen-'))
  })
  after(() => fs.rmSync(directory, { recursive: true }))

  it('prints a key of 32 bytes, another one each time', async () => {
    const keys = new Set<string>()
    for (let i = 0; i < 20; i++) {
      const { status, out, error } = await pkctl('keygen')
      assert.deepEqual([status, out.length, error], [0, 1, []])
      assert.match(out[0] ?? '', /^0x[0-9a-f]{64}$/)
      assert.ok(parsePkdKey(out[0] ?? ''))
      keys.add(out[0] ?? '')
    }
    assert.equal(keys.size, 20)
  })

  it('takes a length of 16 to 40 bytes', async () => {
    for (const bytes of [16, 32, 40]) {
      assert.equal((await pkctl('keygen', '--bytes', String(bytes))).out[0]?.length, 2 + 2 * bytes)
    }
    for (const bytes of ['15', '41', '0', '-1', '1e1', '32.5', '', 'many']) {
      const { status, out, error } = await pkctl('keygen', `--bytes=${bytes}`)
      assert.deepEqual([status, out], [2, []])
      assert.deepEqual(error, [`--bytes takes a number from 16 to 40, not '${bytes}'`])
    }
  })

  it('says which client a key is too long for', async () => {
    assert.deepEqual((await pkctl('keygen', '--bytes', '39')).warn, [])
    const { status, warn } = await pkctl('keygen', '--bytes', '40')
    assert.equal(status, 0)
    assert.deepEqual(warn, ['knock.c of ipt_pkd reads 39 bytes of hex at most, and cannot use this key'])
  })

  for (const [mode, gid, want, readers] of [
    [0o2750, 4242, 0o640, "its owner and its directory's group"],
    [0o2755, 4242, 0o600, 'its owner alone'],
    [0o750, 4242, 0o600, 'its owner alone'],
    [0o2750, 0, 0o600, 'its owner alone'],
  ] as const) {
    it(`in a directory of mode ${mode.toString(8)} and group ${gid}, lets ${readers} read it`, async () => {
      const folder = fs.mkdtempSync(path.join(directory, 'keys-'))
      fs.chownSync(folder, 0, gid)
      fs.chmodSync(folder, mode)
      const { out } = await pkctl('keygen', '--out', path.join(folder, 'laptop'))
      assert.deepEqual(out, [`a new key of 32 bytes is written, readable by ${readers}`])
      assert.equal(fs.statSync(path.join(folder, 'laptop')).mode & 0o7777, want)
    })
  }

  it('writes a new file that only its owner can read, whatever the umask, and does not print the key', async () => {
    const mask = process.umask(0)
    try {
      const file = path.join(directory, 'laptop')
      const { status, out } = await pkctl('keygen', '--out', file)
      assert.deepEqual([status, out], [0, ['a new key of 32 bytes is written, readable by its owner alone']])
      assert.equal(fs.statSync(file).mode & 0o7777, 0o600)
      assert.match(fs.readFileSync(file, 'utf8'), /^0x[0-9a-f]{64}\n$/)
    } finally {
      process.umask(mask)
    }
  })

  it('never overwrites, neither a file nor what a link leads to', async () => {
    const file = path.join(directory, 'there')
    const link = path.join(directory, 'link')
    fs.writeFileSync(file, 'mine')
    fs.symlinkSync(path.join(directory, 'nowhere'), link)
    for (const target of [file, link]) {
      const { status, out, error, hint } = await pkctl('keygen', '--out', target)
      assert.deepEqual([status, out, error], [1, [], [`${target} is there already`]])
      assert.match(hint[0] ?? '', /never overwritten/)
    }
    assert.equal(fs.readFileSync(file, 'utf8'), 'mine')
    assert.ok(!fs.existsSync(link))
  })

  it('makes no directories', async () => {
    const parent = path.join(directory, 'missing')
    const missing = await pkctl('keygen', '--out', path.join(parent, 'laptop'))
    assert.deepEqual(
      [missing.status, missing.error, missing.hint],
      [1, [`there is no directory ${parent}`], [`mkdir -p -m 700 ${parent}`]],
    )
    fs.writeFileSync(parent, '')
    const { status, error } = await pkctl('keygen', '--out', path.join(parent, 'laptop'))
    assert.equal(status, 1)
    assert.match(error[0] ?? '', /^\S+\/missing\/laptop cannot be written: /)
  })

  it('says which lines put the key to use on server and client', async () => {
    const [server, client] = ['/etc/pkctl/keys/laptop', '~/.config/pkctl/home.key']
    for (const [args, credential, serverFile, keyFile, place, clientFile, itsKeyFile] of [
      [[], 'laptop', server, 'keys/laptop', 'home', client, client],
      [[`${directory}/phone`], 'phone', `${directory}/phone`, `${directory}/phone`, 'home', client, client],
      [[`${directory}/my key`], 'laptop', `${directory}/my key`, `'${directory}/my key'`, 'home', client, client],
      [[`${directory}/office.key`], 'laptop', server, 'keys/laptop', 'office', `${directory}/office.key`, undefined],
      [
        [`${directory}/it's.key`],
        'laptop',
        server,
        'keys/laptop',
        'home',
        `${directory}/it's.key`,
        `'${directory}/it''s.key'`,
      ],
    ] as const) {
      const { hint } = await pkctl('keygen', ...args.flatMap(file => ['--out', file]))
      assert.deepEqual(hint, [
        `server: the key in ${serverFile}, and below credentials in pkctl.yaml: ${credential}: { type: pkd, tag: SSHK, key-file: ${keyFile}, opens: [ssh] }`,
        `client: the key in ${clientFile}, and in ~/.config/pkctl/hosts.yaml: ${place}: { host: SERVER, tag: SSHK, key-file: ${itsKeyFile ?? clientFile}, connect: 22 }`,
        'use it for this server alone: a captured knock also opens the other servers that have its key',
      ])
    }
  })
})
