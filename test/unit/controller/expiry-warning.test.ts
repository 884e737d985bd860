import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it, mock } from 'node:test'
import { ExpiryWarning } from '../../../src/controller/report/expiry-warning.js'
import { load } from '../config/config-support.js'

const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ'
const start = Date.UTC(2026, 0, 1)
const day = 86_400_000

describe('the warning before keys expire', () => {
  let now = start
  let said: string[]
  let text: string
  let isOfAuthorities: boolean
  let warning: ExpiryWarning

  beforeEach(() => {
    mock.timers.enable({ apis: ['setInterval'] })
    ;[now, said, text, isOfAuthorities] = [start, [], '', false]
    const say = (message: string, fields?: object) => void said.push(`${message} ${JSON.stringify(fields)}`)
    warning = new ExpiryWarning({
      files: () => [{ file: '/etc/pkctl/users', content: Buffer.from(text), isOfAuthorities }],
      log: { error: say, warn: say, info: say, debug: say },
      now: () => now,
    })
  })
  afterEach(() => {
    warning.stop()
    mock.timers.reset()
  })

  it('is of lines with an expiry-time, a week ahead, once', () => {
    text = `# expiry-time\n${key} a\nexpiry-time="20260110Z" ${key} b\nexpiry-time="x" ${key}\n`
    warning.follow([])
    assert.deepEqual(said, [])
    now = start + 3 * day
    mock.timers.tick(3_600_000)
    mock.timers.tick(3_600_000)
    assert.deepEqual(said, [
      'these expire soon, and open nothing after that: the key at /etc/pkctl/users:3 at 2026-01-10T00:00:00Z {"event":"key-expiring"}',
    ])
    now = start + 10 * day
    mock.timers.tick(3_600_000)
    assert.equal(said.length, 1)
  })

  it('is of the keys of CAs, in a file of them and beside those of users', () => {
    text = `cert-authority,expiry-time="20260103Z" ${key} ca\nexpiry-time="20260104Z" ${key} user\n`
    warning.follow([])
    isOfAuthorities = true
    warning.follow([])
    const places = said.map(line => line.match(/the key( of the CA)? at \S+/g))
    assert.deepEqual(places, [
      ['the key of the CA at /etc/pkctl/users:1', 'the key at /etc/pkctl/users:2'],
      ['the key of the CA at /etc/pkctl/users:2'],
    ])
  })

  it('is of credentials that expire', () => {
    const { config } = load(
      'services: { ssh: { port: 22 } }\ncredentials: { old: { type: fwknop, key: abcdefgh, hmac-key: ijklmnop, opens: [ssh], expires: 2026-01-05 } }',
    )
    warning.follow(config.credentials)
    assert.match(said.join(), /after that: credential old at 2026-01-0/)
  })
})
