import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { nftablesFiles } from '../../../../src/nft/foreign/boot-files.js'
import { filesOfNftablesService, isNftablesEnabled } from '../../../../src/nft/foreign/nftables-service.js'
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
      const obstacle = new SavedRulesets(() => [at('nftables.conf')]).obstacle()
      assert.deepEqual(obstacle, { path: at('nftables.conf'), why: 'has-table' }, text)
    }
    for (const text of others) {
      write('nftables.conf', text)
      assert.equal(new SavedRulesets(() => [at('nftables.conf')]).obstacle(), undefined, text)
    }
  })

  it('is seen when files change, come and go', () => {
    const saved = new SavedRulesets(() => [at('nftables.conf')])
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
        const obstacle = (isLoaded: boolean) =>
          new SavedRulesets(
            () => [at('nftables.conf')],
            () => isLoaded,
          ).obstacle()
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

  it('are also those that the unit and its drop-ins give to nft', () => {
    const units = [at('etc'), at('lib')]
    const saved = new SavedRulesets(() => filesOfNftablesService(units))
    assert.equal(saved.obstacle(), undefined, 'no unit')
    fs.mkdirSync(at('etc/nftables.service.d'), { recursive: true })
    fs.mkdirSync(at('lib'))
    write(
      'lib/nftables.service',
      `[Service]\nExecStart=/usr/sbin/nft -f ${at('main.nft')}\nExecStop=nft flush ruleset\n`,
    )
    write('main.nft', '')
    assert.equal(saved.obstacle(), undefined)
    write('other.nft', mentions[0] as string)
    assert.equal(saved.obstacle(), undefined)
    write('etc/nftables.service.d/local.conf', `[Service]\nExecStart=\nExecStart=nft -f ${at('other.nft')}\n`)
    assert.deepEqual(saved.obstacle(), { path: at('other.nft'), why: 'has-table' })
    fs.rmSync(at('etc/nftables.service.d/local.conf'))
    assert.equal(saved.obstacle(), undefined)
  })

  it('each way to give nft a file counts, and no other option', () => {
    fs.mkdirSync(at('etc/nftables.service.d'), { recursive: true })
    const files = (command: string) => {
      write('etc/nftables.service.d/local.conf', `[Service]\n${command}\n`)
      return nftablesFiles([at('etc')]).slice(2)
    }
    for (const command of [
      'ExecStart=/usr/sbin/nft -f /etc/a.nft',
      'ExecStart=-/usr/sbin/nft -of/etc/a.nft',
      'ExecStart=/usr/sbin/nft --file=/etc/a.nft',
      'ExecStart = nft --echo --file "/etc/a.nft"',
      'ExecStartPost=/usr/sbin/nft \\\n  -f /etc/a.nft',
      `ExecStart=/bin/sh -c 'nft -f /etc/a.nft; true'`,
      `ExecReload=nft 'flush ruleset; include "/etc/a.nft";'`,
    ])
      assert.deepEqual(files(command), ['/etc/a.nft'], command)
    for (const command of [
      'ExecStart=',
      '# ExecStart=nft -f /etc/a.nft',
      'ExecStop=nft -f /etc/a.nft',
      'ExecStart=nft -f -',
    ])
      assert.deepEqual(files(command), [], command)
  })
})
