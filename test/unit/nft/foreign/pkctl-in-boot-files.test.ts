import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { isNftablesEnabled } from '../../../../src/nft/foreign/nftables-service.js'
import { SavedRulesets } from '../../../../src/nft/foreign/pkctl-in-boot-files.js'

describe('saved rulesets with the table of pkctl', () => {
  let directory = ''
  beforeEach(() => (directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-saved-'))))
  afterEach(() => fs.rmSync(directory, { recursive: true }))
  const at = (name: string) => path.join(directory, name)
  const write = (name: string, text: string) => fs.writeFileSync(at(name), text)

  const mentions = [
    'table inet pkctl {\n}\n',
    'table inet pkctl { flags owner,persist; }',
    'delete table inet pkctl',
    'add element inet pkctl pk-ssh-4 { 192.0.2.1 }',
  ]
  const others = [
    '',
    '# table inet pkctl {',
    'table inet pkctl2 {\n}',
    'table ip pkctl {\n}',
    'log prefix "inet pkctl"',
  ]

  it('each mention of it counts, comments and other tables do not', () => {
    for (const text of mentions) {
      write('nftables.conf', text)
      const obstacle = new SavedRulesets([at('nftables.conf')]).obstacle()
      assert.deepEqual(obstacle, { path: at('nftables.conf'), why: 'has-table' }, text)
    }
    for (const text of others) {
      write('nftables.conf', text)
      assert.equal(new SavedRulesets([at('nftables.conf')]).obstacle(), undefined, text)
    }
  })

  it('is seen when files change, come and go', () => {
    const saved = new SavedRulesets([at('nftables.conf')])
    const path = () => saved.obstacle()?.path
    assert.equal(path(), undefined, 'no file')
    write('nftables.conf', `include "${directory}/*.nft"\n`)
    assert.equal(path(), undefined)
    write('b.nft', mentions[0] as string)
    assert.equal(path(), at('b.nft'))
    assert.equal(path(), at('b.nft'))
    write('b.nft', '# nothing\n')
    assert.equal(path(), undefined)
    write('c.nft', mentions[0] as string)
    assert.equal(path(), at('c.nft'))
    fs.rmSync(at('c.nft'))
    assert.equal(path(), undefined)
    write('new', mentions[0] as string)
    fs.renameSync(at('new'), at('b.nft'))
    assert.equal(path(), at('b.nft'))
    fs.rmSync(at('nftables.conf'))
    assert.equal(path(), undefined)
  })

  it(
    'what cannot be read may have it, where it is loaded at boot',
    { skip: process.geteuid?.() !== 0 && 'not root' },
    () => {
      write('nftables.conf', '')
      const { uid } = os.userInfo()
      fs.chmodSync(directory, 0o755)
      fs.chmodSync(at('nftables.conf'), 0o000)
      try {
        process.seteuid?.(65_534)
        const obstacle = (isLoaded: boolean) => new SavedRulesets([at('nftables.conf')], () => isLoaded).obstacle()
        assert.deepEqual(obstacle(true), { path: at('nftables.conf'), why: 'unreadable' })
        assert.equal(obstacle(false), undefined)
      } finally {
        process.seteuid?.(uid)
      }
    },
  )

  it('are loaded at boot where a unit wants or requires nftables.service', () => {
    const isEnabled = () => isNftablesEnabled([at('none'), at('units')])
    assert.equal(isEnabled(), false, 'no systemd')
    fs.mkdirSync(at('units/sysinit.target.wants'), { recursive: true })
    write('units/nftables.service', '')
    write('units/sysinit.target.wants/other.service', '')
    assert.equal(isEnabled(), false)
    fs.symlinkSync('/usr/lib/systemd/system/nftables.service', at('units/sysinit.target.wants/nftables.service'))
    assert.equal(isEnabled(), true)
    fs.renameSync(at('units/sysinit.target.wants'), at('units/multi-user.target.requires'))
    assert.equal(isEnabled(), true)
  })
})
