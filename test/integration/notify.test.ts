/** The daemon tells of events: by a webhook to a real HTTP server, and by commands. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Background } from '../support/commands.js'
import { until } from '../support/commands.js'
import { OpenSsh } from '../support/openssh.js'
import { Lab } from '../support/lab.js'

/** Prints each request on a line; answers as its path says. */
const server = `
require('node:http').createServer((request, response) => {
  let text = ''
  request.on('data', chunk => (text += chunk)).on('end', () => {
    console.log(JSON.stringify({ url: request.url, method: request.method, type: request.headers['content-type'], body: text }))
    if (request.url.includes('hang')) return
    if (request.url.includes('away')) response.writeHead(302, { location: '/redirected' })
    else if (request.url.includes('broken')) response.statusCode = 500
    response.end()
  })
}).listen(8080, '127.0.0.1', () => console.log('serving'))`

interface Request {
  readonly url: string
  readonly method: string
  readonly type: string
  readonly body: string
}

describe('notifications', () => {
  let lab: Lab
  let http: Background
  let daemon: Background
  let told: string
  let openssh: OpenSsh

  before(async () => {
    lab = await Lab.create()
    openssh = new OpenSsh()
    const inThreeDays = new Date(Date.now() + 3 * 86_400_000).toISOString().slice(0, 10)
    lab.file('keys', `${openssh.key('alice', '-t', 'ed25519')}\n`, 0o644)
    lab.file('cas', `expiry-time="${inThreeDays.replaceAll('-', '')}Z" ${openssh.key('ca', '-t', 'ed25519')}\n`, 0o644)
    await lab.mustPkctl('keygen', '--server', '--state-directory', `${lab.directory}/state`)
    told = path.join(lab.directory, 'told')
    fs.writeFileSync(told, '')
    fs.chmodSync(told, 0o666)
    fs.chmodSync(lab.directory, 0o755)
    http = lab.start('server', [process.execPath, '-e', server])
    await http.says(/serving/)
    const at = 'http://127.0.0.1:8080'
    daemon = await lab.daemon(
      lab.config(
        [
          'services: { ssh: { port: 22 } }',
          'credentials:',
          '  laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh] }',
          `  old: { type: fwknop, key: abcdefgh, hmac-key: ijklmnop, opens: [ssh], expires: ${inThreeDays} }`,
          '  staff: { type: ssh, authorized-keys: keys, ca-keys: cas, principals: [ops], opens: [ssh] }',
          'notify:',
          `  good: { webhook: "${at}/good-T0PSECRET" }`,
          `  broken: { webhook: "${at}/broken-T0PSECRET", events: [healed] }`,
          `  away: { webhook: "${at}/away-T0PSECRET", events: [healed] }`,
          `  hang: { webhook: "${at}/hang-T0PSECRET", events: [healed], timeout: 1 }`,
          '  nowhere: { webhook: "http://127.0.0.1:8081/T0PSECRET", events: [healed] }',
          `  run: { shell: 'echo "$(id -un) $PKCTL_EVENT $PKCTL_MESSAGE" >>${told}', user: nobody, every: 1s }`,
        ].join('\n'),
        'log: { level: debug, format: json }\nself-test: 1',
      ),
    )
  })
  after(async () => {
    openssh.remove()
    await lab.remove()
  })

  const requests = () =>
    http.output
      .split('\n')
      .filter(line => line.startsWith('{'))
      .map(line => JSON.parse(line) as Request)
  const bodies = (word: string) =>
    requests()
      .filter(({ url }) => url.includes(word))
      .map(({ body }) => JSON.parse(body) as Record<string, unknown>)
  const nft = async (command: string) => assert.equal((await lab.on(['nft', command])).status, 0, command)

  it('of a credential that expires soon come at the start', async () => {
    await until(() => bodies('good').some(({ event }) => event === 'key-expiring'))
    assert.match(String(bodies('good').find(({ event }) => event === 'key-expiring')?.['message']), /credential old at/)
  })

  it('of a key of a CA that expires soon come when the files are read', async () => {
    const told = () => bodies('good').filter(({ event }) => event === 'key-expiring')
    await until(() => told().some(({ message }) => /the key of the CA at \S*cas:1 at/.test(String(message))))
  })

  it('of keys that count no longer come, because others can write their file', async () => {
    assert.ok(!bodies('good').some(({ event }) => event === 'lockout-risk'))
    fs.chmodSync(path.join(lab.directory, 'keys'), 0o666)
    await until(() => bodies('good').some(({ event }) => event === 'lockout-risk'))
    const { message } = bodies('good').find(({ event }) => event === 'lockout-risk') ?? {}
    assert.match(String(message), /credential staff: \S*keys .*0666/)
    fs.chmodSync(path.join(lab.directory, 'keys'), 0o644)
  })

  it('of restored rules come as JSON, and those that fail are logged without the URL', async () => {
    await nft('flush chain inet pkctl pk-ssh')
    await until(() => bodies('good').some(({ event }) => event === 'healed'))
    const { method, type } = requests().find(({ url }) => url.includes('good')) as Request
    assert.deepEqual([method, type], ['POST', 'application/json'])
    const body = bodies('good').find(({ event }) => event === 'healed') ?? {}
    assert.deepEqual(Object.keys(body).sort(), [
      'event',
      'host',
      'jsonVersion',
      'level',
      'message',
      'suppressed',
      'time',
    ])
    assert.match(String(body['message']), /restored \d+ ms after/)
    await daemon.says(/notify broken failed: the webhook answered with HTTP status 500/)
    await daemon.says(/notify away failed: the webhook cannot be reached/)
    await daemon.says(/notify hang failed: the webhook did not answer within 1 s/)
    await daemon.says(/notify nowhere failed: the webhook cannot be reached: ECONNREFUSED/)
    assert.equal(requests().filter(({ url }) => url.includes('redirected')).length, 0)
    await until(() => /^nobody healed .*restored/m.test(fs.readFileSync(told, 'utf8')))
  })

  it('of a self-test come when it fails, and when it passes again', async () => {
    await daemon.says(/the self-test passed/)
    await nft('add table inet eater')
    await nft('add chain inet eater first { type filter hook prerouting priority -300; }')
    await nft('add rule inet eater first udp dport 62201 drop')
    await until(() => bodies('good').some(({ event }) => event === 'self-test-failed'), 90_000)
    await nft('delete table inet eater')
    await until(() => bodies('good').some(({ event }) => event === 'self-test-passed'))
  })

  it('never show the URL', async () => {
    const status = await lab.mustPkctl('status', '--json')
    const check = await lab.pkctl('check', '--config', path.join(lab.directory, 'pkctl.yaml'))
    for (const text of [daemon.output, status, check.stdout, check.stderr]) assert.doesNotMatch(text, /T0PSECRET/)
  })
})
