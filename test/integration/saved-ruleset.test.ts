/** A saved ruleset that contains pkctl's table is loaded: it must not revive grants, and restarts must not end them. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { must } from '../support/commands.js'
import { client4, Lab, lockFile, server4 } from '../support/lab.js'

const body = [
  'services: { ssh: { port: 22 }, once: { port: 2222, single-use: true } }',
  'credentials: { laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh, once] } }',
].join('\n')
const warning = /2 grants of a table that another program has made, most likely from a saved ruleset, are removed/

describe('a saved ruleset with the table of pkctl', () => {
  let lab: Lab
  let config: string
  beforeEach(async () => {
    lab = await Lab.create()
    await lab.serve(22, 2222)
    config = lab.config(body)
  })
  afterEach(() => lab.remove())

  const server = (...argv: string[]) => must(['ip', 'netns', 'exec', lab.server, ...argv])
  const close = async () => {
    const { status, stderr } = await lab.pkctl('close', '--config', config)
    assert.equal(status, 0, stderr)
    return stderr
  }
  const opens = (...ports: number[]) => Promise.all(ports.map(port => lab.opens(server4, client4, port)))
  const grant = async () => {
    await lab.mustPkctl('add', client4, '--service', 'ssh', '--for', '1h')
    await lab.mustPkctl('add', client4, '--service', 'once', '--for', '1h')
  }
  const load = async (dump: string, flushes: boolean) => {
    if (!flushes) await server('nft', 'flush', 'ruleset')
    await server('nft', '-f', lab.file('saved.nft', flushes ? `flush ruleset\n${dump}` : dump))
  }
  /** As the daemon leaves it. */
  const saved = async () => {
    const daemon = await lab.daemon(config)
    await grant()
    assert.equal(await daemon.stop(), 0, daemon.output)
    return server('nft', 'list', 'ruleset')
  }

  for (const flushes of [false, true]) {
    const how = flushes ? 'that flushes first' : 'after a flush'
    it(`gives no access after pkctl close, ${how}`, async () => {
      await load(await saved(), flushes)
      const { stderr } = await lab.pkctl('close', '--config', config, '--dry-run')
      assert.match(stderr, /2 grants of a table that .*, would be removed/)
      assert.deepEqual(await opens(22), ['open'], 'nothing was changed')
      assert.match(await close(), warning)
      assert.deepEqual(await opens(22, 2222), ['timeout', 'timeout'])
      await grant()
      assert.doesNotMatch(await close(), /removed/)
      assert.deepEqual(await opens(22, 2222), ['open', 'open'], 'now the table is its own')
    })

    it(`gives no access after the start of the daemon, ${how}`, async () => {
      await load(await saved(), flushes)
      const daemon = await lab.daemon(config)
      await daemon.says(warning)
      assert.match(daemon.output, /"event":"saved-grants"/)
      assert.deepEqual(await opens(22, 2222), ['timeout', 'timeout'])
    })

    it(`gives no access after a boot, ${how}`, async () => {
      await load(await saved(), flushes)
      await server('sh', '-c', `rm ${lockFile}`)
      assert.match(await close(), warning)
      assert.deepEqual(await opens(22, 2222), ['timeout', 'timeout'])
    })
  }

  it('gives no access after a boot in which the table has the same number', async () => {
    await saved()
    await server('sh', '-c', `sed -i 's/boot .*/boot 0-0/' ${lockFile}`)
    assert.match(await close(), warning)
    assert.deepEqual(await opens(22), ['timeout'])
  })

  it('is none where the daemon starts again, where it is killed, and where pkctl close has made the table', async () => {
    await close()
    await grant()
    const first = await lab.daemon(config)
    assert.equal(await first.stop(), 0, first.output)
    assert.doesNotMatch(await close(), /removed/)
    const second = await lab.daemon(config)
    await second.stop('SIGKILL')
    const third = await lab.daemon(config)
    assert.doesNotMatch(first.output + second.output + third.output, /saved-grants/)
    assert.deepEqual(await opens(22, 2222), ['open', 'open'])
  })

  it('is none where the daemon has restored its table, and starts again', async () => {
    const first = await lab.daemon(config)
    await first.says(/the ruleset is watched/)
    await grant()
    await server('nft', 'flush', 'ruleset').catch(() => undefined)
    await first.says(/with 1 grant|owns the table/)
    await first.stop('SIGKILL')
    const second = await lab.daemon(config)
    assert.doesNotMatch(second.output, /saved-grants/)
    assert.deepEqual(await opens(22), ['open'])
  })

  it('is none where a version without notes has made the table', async () => {
    await saved()
    await server('sh', '-c', `: >${lockFile}`)
    assert.doesNotMatch(await close(), /removed/)
    assert.deepEqual(await opens(22, 2222), ['open', 'open'])
    assert.match(await server('sh', '-c', `cat ${lockFile}`), /^\ntable \d+ boot \S+\n$/)
  })

  it('takes no grants from a daemon that runs', async () => {
    const daemon = await lab.daemon(config)
    await daemon.says(/the ruleset is watched/)
    await grant()
    const dump = await server('nft', 'list', 'table', 'inet', 'pkctl')
    await server('nft', '-f', lab.file('saved.nft', `flush ruleset\n${dump}`)).catch(() => undefined)
    assert.doesNotMatch(await close(), /removed/)
    assert.deepEqual(await opens(22), ['open'])
  })
})
