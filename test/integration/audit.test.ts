/** Who changed what: the event of the log, with its fields, wherever the log goes. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { pkctl, until } from '../support/commands.js'
import { Lab } from '../support/lab.js'

describe('a change by a command', () => {
  let lab: Lab

  beforeEach(async () => {
    lab = await Lab.create()
  })
  afterEach(() => lab.remove())

  const body = 'services: { ssh: { port: 22 } }'
  /** As sudo would run it for ada. */
  const add = (...words: string[]) => {
    const env = { PATH: process.env['PATH'] ?? '', SUDO_USER: 'ada', SUDO_UID: '1000' }
    const line = ['add', '192.0.2.9', '--service', 'ssh', '--for', '1h', '--socket', lab.socket, ...words]
    return lab.on([process.execPath, pkctl, ...line], { env })
  }
  const wanted = {
    ...{ event: 'change', action: 'add', service: 'ssh', source: '192.0.2.9', seconds: 3600, note: 'on call' },
    ...{ asker: 'root (sudo by ada)', uid: 0, 'sudo-user': 'ada', 'sudo-uid': 1000 },
  }
  const fieldsOf = (line: string) => {
    const { time, level, message, jsonVersion: _v, from: _f, ...fields } = JSON.parse(line) as Record<string, unknown>
    assert.deepEqual([typeof time, level, typeof message], ['string', 'info', 'string'])
    return fields
  }

  it('is found in the history by its address, with who made it', async () => {
    const file = lab.config(body)
    await lab.daemon(file)
    const { status, stderr } = await add('--note', 'on call')
    assert.equal(status, 0, stderr)
    const show = (source: string) => lab.mustPkctl('log', '--json', '--source', source, '--config', file)
    await until(async () => (await show('192.0.2.9')) !== '')
    assert.deepEqual(fieldsOf(await show('192.0.2.0/24')), wanted)
    assert.equal(await show('192.0.2.8'), '')
    assert.match(await lab.mustPkctl('list'), /by hand {2}\S+Z root \(sudo by ada\): on call\n/)
  })

  it('goes to syslog as JSON where the configuration says so', async () => {
    const config = lab.config(body, 'log: { to: syslog, format: json }')
    const [dev, syslog] = [path.join(lab.directory, 'dev'), path.join(lab.directory, 'syslog')]
    const received = () => (fs.existsSync(syslog) ? fs.readFileSync(syslog, 'utf8') : '')
    // A /dev of its own, where socat stands in for the system's syslog.
    const script = `
      set -e
      mkdir ${dev} && mount -t tmpfs tmpfs ${dev} && cd ${dev}
      mknod null c 1 3 && mknod zero c 1 5 && mknod random c 1 8 && mknod urandom c 1 9 && ln -s /proc/self/fd fd && ln -s fd/0 stdin
      mount --bind ${dev} /dev
      timeout 60 socat -u UNIX-RECV:/dev/log,mode=666 OPEN:${syslog},creat,append </dev/null >/dev/null 2>&1 &
      until [ -S /dev/log ]; do sleep 0.1; done
      exec ${process.execPath} ${pkctl} daemon --config ${config}`
    const daemon = lab.start('server', ['unshare', '-m', '/bin/sh', '-c', script])
    await until(() => received().includes('listening')).catch(() => assert.fail(daemon.output))
    assert.equal((await add('--note', 'on call')).status, 0)
    await until(() => received().includes('on call'))
    const [, line = ''] = /<30>[^<]*pkctld\[\d+\]: (\{[^<]*"event":"change"[^<]*\})/.exec(received()) ?? []
    assert.deepEqual(fieldsOf(line), wanted)
  })
})
