/** That no message shows a secret, whatever it looks like to a parser: 1000 odd keys through every way to go wrong. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { after, describe, it } from 'node:test'
import { main } from '../../src/cli/program.js'
import { findHostEntry } from '../../src/client/hosts-file.js'
import { closeMethod, openMethod } from '../../src/client/index.js'
import { findIptPkdHost } from '../../src/client/ipt-pkd-hosts.js'
import type { Controller } from '../../src/controller/index.js'
import { problemsOf } from '../../src/daemon/error-messages.js'
import { requestHandler } from '../../src/daemon/request-handler.js'
import { readRequest } from '../../src/daemon/requests.js'
import { checkAll } from '../../src/doctor/checks/check-all.js'
import { configurationFacts } from '../../src/doctor/probes/probe-configuration.js'
import type { Firewall } from '../../src/nft/index.js'
import type { Terminal } from '../../src/util/index.js'
import { ask, listen, UserError } from '../../src/util/index.js'
import type { Files } from './config/config-support.js'
import { main as mainFile, problemsOf as configProblemsOf, load } from './config/config-support.js'
import { assertUnseen, layouts, oddKeys } from '../support/odd-keys.js'
import { facts as healthyFacts } from './doctor/doctor-support.js'

const keys = oddKeys(1000)
const identity = `pk1:${Buffer.alloc(32, 7).toString('base64url')}`
const start = 'services: {ssh: {port: 22}}\ncredentials:\n'

/** A mapping on one line; so a comma ends the key. */
const inFlow = (key: string, option: string) => `${option}: ${key}, opens: [ssh]`

/** What the loader says, as the log and the terminal show it. */
function saidOf(files: Files): string {
  const problems = configProblemsOf(files)
  return (problems.length > 0 ? problems : load(files).warnings).join('\n')
}

function saidBy(work: () => unknown): string {
  try {
    work()
    return ''
  } catch (error) {
    return problemsOf(error)
      .map(({ message, hint }) => `${message} (${hint ?? ''})`)
      .join('\n')
  }
}

describe('no message shows a secret', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-secrets-'))
  after(() => fs.rmSync(directory, { recursive: true }))
  const write = (name: string, text: string) => {
    const file = path.join(directory, name)
    fs.writeFileSync(file, text, { mode: 0o600 })
    return file
  }

  for (const [k, [way, layout]] of Object.entries(layouts).entries()) {
    it(`of the configuration, ${way}`, () => {
      for (const [i, key] of keys.entries()) {
        if ((i + k) % 3 !== 0) continue
        const [type, option] = [
          ['pkd', 'key'],
          ['rotating', 'open-secret'],
          ['rotating', 'close-secret'],
          ['fwknop', 'key'],
          ['fwknop', 'hmac-key'],
          ['symmetric', 'key'],
        ][(i + (i % 7)) % 6] as [string, string]
        assertUnseen(key, way, saidOf({ 'pkctl.yaml': `${start}  a:\n    type: ${type}\n${layout(key, option)}` }))
      }
    })
  }

  it('of the configuration, in one line, in a second file, and in a file for keys or sequences', () => {
    for (const key of keys) {
      const flow = `credentials:\n  a: {type: pkd, ${inFlow(key, 'key')}}\n`
      assertUnseen(key, 'one line', saidOf({ 'pkctl.yaml': flow }))
      assertUnseen(key, 'second file', saidOf({ 'pkctl.yaml': 'services: {}', 'conf.d/a.yaml': flow }))
      for (const options of [
        ...[
          'type: pkd, key-file: k',
          'type: one-time, sequences-file: k',
          'key-file: k',
          'type: symmetric, key-file: k',
        ],
        ...['type: fwknop, key-file: k, hmac-key-file: k', 'type: ssh, authorized-keys: k, key-file: k'],
      ]) {
        const files = { 'pkctl.yaml': `${start}  a: {${options}, opens: [ssh]}`, k: `${key}\n` }
        assertUnseen(key, options, saidOf(files))
      }
    }
    assert.ok(mainFile.endsWith('pkctl.yaml'))
  })

  /** What a client says that opens and closes by a host entry: up to the point where it would send. */
  async function saidOfHost(text: string, name = 'home'): Promise<string> {
    const file = write('hosts.yaml', text)
    const said: string[] = []
    const attempt = async (work: () => unknown) => {
      try {
        await work()
      } catch (error) {
        said.push(...problemsOf(error).map(({ message, hint }) => `${message} (${hint ?? ''})`))
      }
    }
    await attempt(async () => {
      const entry = findHostEntry(name, file, warning => said.push(warning))
      assert.ok(entry)
      const say = (line: string) => said.push(line)
      const caller = { name, secret: () => Promise.reject(new UserError('no terminal')), ask: say, warn: say }
      await attempt(() => openMethod(entry, {}, caller))
      await attempt(() => closeMethod(entry, {}, caller))
    })
    return said.join('\n')
  }

  for (const [k, [way, layout]] of Object.entries(layouts).entries()) {
    it(`of hosts.yaml, ${way}`, async () => {
      for (const [i, key] of keys.entries()) {
        if ((i + k) % 6 !== 0) continue
        const option = ['key', 'open-secret', 'close-secret'][(i + (i % 7)) % 3] as string
        const ofKey = i % 2 === 0 ? 'tag: T' : `identity: ${identity}`
        const other = option === 'close-secret' ? 'open-secret: x' : option === 'key' ? ofKey : 'close-secret: x'
        const entry = `    host: 127.0.0.1\n${layout(key, option).replaceAll('opens: [ssh]', other)}`
        assertUnseen(key, way, await saidOfHost(`home:\n${entry}`))
        assertUnseen(
          key,
          `${way}, for closing`,
          await saidOfHost(`home: {host: 127.0.0.1, close: shut}\nshut:\n${entry}`),
        )
      }
    })
  }

  it('of hosts.yaml in one line, and of ~/.ipt_pkd.ini', async () => {
    for (const [i, key] of keys.entries()) {
      const option = ['key', 'open-secret', 'close-secret'][(i + (i % 7)) % 3] as string
      const entry = `{host: 127.0.0.1, ${inFlow(key, option)}}`
      assertUnseen(key, 'one line', await saidOfHost(i % 2 === 0 ? `home: ${entry}` : `{home: ${entry}}`))
      const ini = write('ipt_pkd.ini', `[home]\nhost=h\nkey=${key}\nport=x\n`)
      assertUnseen(
        key,
        'ini',
        saidBy(() => findIptPkdHost('home', ini)),
      )
    }
  })

  it('of a reload, of the doctor, and of a request that is none', async () => {
    const file = path.join(directory, 'pkctl.yaml')
    const said: string[] = []
    const log = (message: string) => said.push(message)
    const handle = requestHandler({
      controller: { reload: () => Promise.reject(new Error('unused')) } as unknown as Controller,
      firewall: {} as unknown as Firewall,
      owner: { applyOwned: () => Promise.resolve(false) },
      file,
      log: {
        ...{ error: log, warn: log, info: log, debug: log },
        prepare: () => ({ warnings: [], use: () => undefined, drop: () => undefined }),
        lostLines: () => 0,
        close: () => Promise.resolve(),
      },
      manager: {
        ready: log,
        note: log,
        reloading: () => undefined,
        stopping: () => undefined,
        watch: () => undefined,
        close: () => undefined,
      },
      notifier: { use: () => undefined },
      reloads: { refused: null },
      ready: Promise.resolve(),
    })
    const healthy = healthyFacts()
    const socket = path.join(directory, 'socket')
    const listener = await listen({ path: socket, group: null }, message =>
      handle(readRequest(message), { via: 'root' }),
    )
    after(() => listener.close('the test is over'))
    for (const [i, key] of keys.entries()) {
      const layout = Object.values(layouts)[i % 8] as (typeof layouts)[string]
      write('pkctl.yaml', `${start}  a:\n    type: pkd\n${layout(key, 'key')}    no: 1\n`)
      const answer = await handle({ request: 'reload' }, { via: 'root' })
      const facts = { ...healthy, configuration: await configurationFacts(file, () => undefined) }
      const request = await ask(socket, { request: key, ...(i % 2 === 0 ? { address: key } : {}) })
      assertUnseen(key, 'reload', JSON.stringify([answer, said.splice(0), checkAll(facts, '0.1.0'), request]))
    }
  })

  it('of the command line, and of what is imported', async () => {
    const said: string[] = []
    const say = (text: string) => said.push(text)
    const terminal: Terminal = {
      ...{ out: () => undefined, error: say, hint: say, warn: say, errorLine: say },
      ...{ strong: text => text, difference: () => undefined },
    }
    const file = path.join(directory, 'import')
    const imports: readonly [string, (key: string) => string][] = [
      ['ipt_pkd', key => `-A INPUT -p udp -m pkd --key ${key} --tag SSHK -m recent --set --name ssh\n`],
      ['ipt_pkd', key => `-A INPUT -p udp -m pkd --tag SSHK --key ${key} --key ${key}\n`],
      ['ipt_pkd.ini', key => `[home]\nhost=h\nkey=${key}\nport=x\n`],
      ['fwknop', key => `SOURCE ANY\nKEY ${key}\nHMAC_KEY_BASE64 ${key}\nOPEN_PORTS tcp/22\n`],
      ['fwknop', key => `KEY ${key}\nSOURCE ANY\nKEY_BASE64: ${key}\nKEY x\nHMAC_KEY ${key}\nHMAC_KEY y\n`],
      ['fwknop', key => `SOURCE ANY\nKEY${key}\n${key}\nKEY\n${key} 1\nGPG_DECRYPT_PW ${key}\nREQUIRE_USERNAME a\n`],
    ]
    const actions = path.join(directory, 'actions')
    fs.mkdirSync(actions)
    for (const [i, key] of keys.entries()) {
      const flags = [[`--key=${key}`], ['--key', key], [`-k${key}`], ['--key-env', key]][i % 4] as string[]
      await main(['knock', '127.0.0.1', ...flags], terminal)
      const [system, layout] = imports[i % imports.length] as (typeof imports)[number]
      fs.writeFileSync(file, layout(key))
      await main(['import', system, file], terminal)
      await main(['import', 'nfqknockd', '--', '-o', key, '-d', 'x'], terminal)
      await main(['import', 'nfqknockd', `-o${key}`], terminal)
      fs.writeFileSync(path.join(actions, 'a.json'), `[{"name": "a", "tag": "T", key: ${key}, "port": "x"}]`)
      await main(['import', 'nf-pkd', actions], terminal)
      assertUnseen(key, `${flags[0]?.slice(0, 6)} ${system}`, said.splice(0).join('\n'))
    }
  })

  it('of an invitation that is broken, of what is no public key, and of who is invited', async () => {
    const said: string[] = []
    const say = (text: string) => said.push(text)
    const terminal: Terminal = {
      ...{ out: () => undefined, error: say, hint: say, warn: say, errorLine: say },
      ...{ strong: text => text, difference: () => undefined },
    }
    fs.mkdirSync(path.join(directory, 'invite'))
    const state = path.join(directory, 'state')
    const file = path.join(directory, 'invite', 'pkctl.yaml')
    const kinds = ['type: symmetric, key-file: key', 'type: fwknop, key-file: key, hmac-key-file: key']
    const lines: readonly ((key: string) => string)[] = [
      key => `&services=ssh:22&key=${key}`,
      key => `&services=ssh:22&kez=${key}`,
      key => `&key=${key}&services=ssh:22&key=${key}`,
      // As programs change a line that they take for an address on the web.
      key => `&services=ssh:22%26key=${key}`,
      key => `&amp;services=ssh:22&amp;key=${key}`,
      key => `&services=ssh,key=${key}`,
      key => `${key}&services=ssh`,
    ]
    for (const [i, key] of keys.entries()) {
      const line = `pkctl://server.example?id=${identity}${(lines[i % lines.length] as (typeof lines)[number])(key)}`
      await main(['join', line, '--no-knock'], terminal)
      write('invite/key', `${key}\n`)
      write(
        'invite/pkctl.yaml',
        `state-directory: ${state}\n${start}  phone: {${kinds[i % 2]}, opens: [ssh]}\n  people: {type: ssh, authorized-keys: keys, opens: [ssh]}\n`,
      )
      await main(['invite', 'phone', '--host', 'server.example', '--config', file], terminal)
      const pem = '-----BEGIN OPENSSH PRIVATE KEY-----'
      const shown = write('public', [key, `ssh-ed25519 ${key}`, `${pem}\n${key}`, `${key} ${pem}`][i % 4] as string)
      await main(['user', 'add', 'alice', '--key', shown, '--config', file], terminal)
      assert.ok(said.length > 1)
      assertUnseen(key, `line ${i % lines.length}`, said.splice(0).join('\n'))
    }
  })
})
