/** That no message of setup, of notifications and of the clients in other languages shows a secret: see secrets-unseen.test.ts. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as http from 'node:http'
import type { AddressInfo } from 'node:net'
import * as os from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { main } from '../../src/cli/program.js'
import type { NotifyTarget } from '../../src/config/types.js'
import { notifyEvents } from '../../src/config/types.js'
import { Notifier } from '../../src/daemon/notify/notifier.js'
import { sendWebhook } from '../../src/daemon/notify/webhook.js'
import type { Terminal } from '../../src/util/index.js'
import { root } from '../support/commands.js'
import { assertUnseen, layouts, oddKeys } from '../support/odd-keys.js'
import { load, problemsOf } from './config/config-support.js'

const keys = oddKeys(1000)
const identity = `pk1:${Buffer.alloc(32, 7).toString('base64url')}`

describe('no message shows a secret', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-secrets-'))
  after(() => fs.rmSync(directory, { recursive: true }))
  const write = (name: string, text: string) => {
    const file = path.join(directory, name)
    fs.writeFileSync(file, text, { mode: 0o600 })
    return file
  }

  it('of pkctl setup, for a key that is none, and beside a configuration that cannot be read', async () => {
    const said: string[] = []
    const say = (text: string) => said.push(text)
    const terminal: Terminal = {
      ...{ out: say, error: say, hint: say, warn: say, errorLine: say },
      ...{ strong: text => text, difference: () => undefined },
    }
    const publicKey = `ssh-ed25519 ${Buffer.from([0, 0, 0, 11, ...Buffer.from('ssh-ed25519'), 0, 0, 0, 32, ...Buffer.alloc(32, 1)]).toString('base64')}`
    const setup = (file: string, key: string) =>
      main(
        ['setup', '--dry-run', '--service=ssh=22', '--user=alice', `--key=${key}`, '--host=h', `--config=${file}`],
        terminal,
      )
    // Each looks at what listens here, which takes its time.
    for (const [i, key] of keys.filter((_, i) => i % 8 === 0).entries()) {
      const layout = Object.values(layouts)[i % 12] as (typeof layouts)[string]
      const file = write(
        'pkctl.yaml',
        `services: {ssh: {port: 22}}\ncredentials:\n  a:\n    type: pkd\n${layout(key, 'key')}`,
      )
      const shown = [key, `ssh-ed25519 ${key}`, `-----BEGIN OPENSSH PRIVATE KEY-----\n${key}`, `${key} ${publicKey}`]
      assert.notEqual(await setup(file, write('public', shown[i % 4] as string)), 0)
      assert.notEqual(await setup(file, publicKey), 0)
      assert.ok(said.length > 1)
      assertUnseen(key, 'setup', said.splice(0).join('\n'))
    }
  })

  it('of the webhook of a notification, in the configuration', () => {
    for (const [i, key] of keys.entries()) {
      const [way, layout] = Object.entries(layouts)[i % 12] as [string, (typeof layouts)[string]]
      for (const value of [key, `https://chat.example/${key}`]) {
        const files = { 'pkctl.yaml': `services: {}\nnotify:\n  chat:\n${layout(value, 'webhook')}` }
        const problems = problemsOf(files)
        assertUnseen(key, way, (problems.length > 0 ? problems : load(files).warnings).join('\n'))
      }
    }
  })

  describe('of the webhook of a notification', () => {
    let server: http.Server
    before(async () => {
      // Redirects to where it was asked, or refuses.
      server = http.createServer((request, response) => {
        const isOdd = (request.url?.length ?? 0) % 2 === 1
        response.writeHead(isOdd ? 302 : 500, isOdd ? { location: request.url } : {}).end(request.url)
      })
      await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
    })
    after(() => {
      server.closeAllConnections()
      server.close()
    })

    it('that does not work', async () => {
      const { port } = server.address() as AddressInfo
      const said: string[] = []
      const say = (message: string) => void said.push(message)
      for (const [i, key] of keys.entries()) {
        const webhook = [
          `http://127.0.0.1:${port}/${key}`,
          `http://127.0.0.1:1/${key}`,
          `http://${key}@127.0.0.1:1/`,
          `http://127.0.0.1:1/?a=${encodeURIComponent(key)}`,
          `${key}://`,
        ][i % 5] as string
        const common = { name: 'chat', events: notifyEvents, everySeconds: 600, timeoutSeconds: 5 }
        const target: NotifyTarget = { ...common, webhook }
        let sent: Promise<void> | undefined
        const notifier = new Notifier({
          run: () => Promise.resolve(undefined),
          send: (...args) => (sent = sendWebhook(...args)),
          log: { error: say, warn: say, info: say, debug: say },
          now: () => 0,
        })
        notifier.use([target])
        notifier.add('warn', 'healed', { event: 'healed' })
        await sent?.catch(() => undefined)
        await new Promise(setImmediate)
        notifier.stop()
        assert.equal(said.length, 1, webhook)
        assertUnseen(key, webhook, said.splice(0).join('\n'))
      }
    })
  })

  it('of knock.py', () => {
    const files = keys.map((key, i) => {
      const odd = write(`key-${i}`, `${key}\n`)
      // A public key that is none; and a key that is too long, or is no hex.
      fs.writeFileSync(
        `${odd}.pub`,
        [`${key} AAAA\n`, `AAAA ${key}\n`, `${key}\n`, `a${key.replaceAll(/\s/g, '')} AAAA\n`][i % 4] as string,
      )
      write(`long-${i}`, `${i % 2 === 0 ? '0x' : ''}${key.repeat(4)}\n`)
      return odd
    })
    // What is no UTF-8.
    const binary = path.join(directory, 'binary')
    fs.writeFileSync(binary, Buffer.concat([Buffer.of(0xff), Buffer.from(keys[0] ?? '')]))
    const script = `
import contextlib, importlib.util, io, json, sys, traceback
spec = importlib.util.spec_from_file_location("knock", sys.argv[1])
knock = importlib.util.module_from_spec(spec)
spec.loader.exec_module(knock)
# Up to the point where it would send.
knock.knock = lambda options: knock.packets_for(options, 62201)
said = []
for file in json.load(sys.stdin):
    ways = [["--pkd", "T", "--key-file", file], ["--identity", sys.argv[2], "--key-file", file]]
    ways += [["--pkd", "T", "--key-file", file.replace("key-", "long-")]]
    ways += [["--identity", sys.argv[2], "--ssh-key", file]]
    with io.StringIO() as text, contextlib.redirect_stderr(text), contextlib.redirect_stdout(text):
        for way in ways:
            try:
                knock.main(["127.0.0.1", *way])
            except SystemExit:
                pass
            except BaseException:
                traceback.print_exc()
        said.append(text.getvalue())
print(json.dumps(said))
`
    const argv = ['-c', script, path.join(root, 'clients/knock.py'), identity]
    const { status, stdout, stderr } = spawnSync('python3', argv, {
      input: JSON.stringify([...files, binary]),
      encoding: 'utf8',
      maxBuffer: 1e8,
    })
    assert.equal(status, 0, stderr)
    const said = JSON.parse(stdout) as string[]
    assert.equal(said.length, keys.length + 1)
    for (const [i, text] of said.entries()) {
      assert.match(text, /^knock\.py: error: /m)
      assert.doesNotMatch(text, /Traceback/)
      assertUnseen(keys[i] ?? 'binary', 'knock.py', text)
    }
  })

  it('of knock.sh', () => {
    // Each odd piece comes first once; a shell and its programs take too long for all keys.
    for (const [i, key] of keys.slice(0, 60).entries()) {
      const file = write('key', [`${key}\n`, `${key.repeat(4)}\n`, `0x${key}\n`][i % 3] as string)
      const how = i % 3 === 0 ? ['--identity', identity] : ['--pkd', 'T']
      const argv = [path.join(root, 'clients/knock.sh'), '127.0.0.1', ...how, '--key-file', file, '--print']
      const { stdout, stderr } = spawnSync('sh', argv, { encoding: 'utf8' })
      assertUnseen(key, how.join(' '), stdout + stderr)
      assert.match(`${stdout}${stderr}`, /^(knock\.sh: error: |\d+ [0-9a-f]+$)/)
    }
  })
})
