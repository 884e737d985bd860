/** The parts of `pkctl setup` that need no kernel: what listens, what is proposed, what is planned. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { makeIdentity } from '../../../src/cli/server/make-invitation.js'
import { carryOut } from '../../../src/cli/setup/carry-out.js'
import { findListeners } from '../../../src/cli/setup/listeners.js'
import type { Answers } from '../../../src/cli/setup/plan.js'
import { parseServicePort, planFor } from '../../../src/cli/setup/plan.js'
import { nameOfService } from '../../../src/cli/setup/questions.js'
import { unitsThatAreOff } from '../../../src/cli/setup/units.js'
import { parseTcpSockets } from '../../../src/net/index.js'
import type { Terminal } from '../../../src/util/index.js'

const line = (local: string, state: string, inode: number) =>
  `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1 0 100 0`

describe('pkctl setup', () => {
  let directory: string
  before(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-setup-'))
  })
  after(() => {
    fs.rmSync(directory, { recursive: true })
  })
  const write = (name: string, text: string): string => {
    const file = path.join(directory, name)
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.writeFileSync(file, text)
    return file
  }

  it('finds what listens for others, sshd first, each port once', () => {
    const tcp = [
      '  sl  local_address rem_address   st',
      line('00000000:0050', '0A', 7),
      line('00000000:0016', '0A', 8),
      line('0100007F:0019', '0A', 9),
      line('0A7100CB:0016', '01', 10),
    ]
    write('proc/self/net/tcp', tcp.join('\n'))
    write('proc/self/net/tcp6', line('00000000000000000000000000000000:0016', '0A', 8))
    write('proc/12/comm', 'sshd\n')
    fs.mkdirSync(path.join(directory, 'proc/12/fd'))
    fs.symlinkSync('socket:[8]', path.join(directory, 'proc/12/fd/3'))
    fs.symlinkSync('/dev/null', path.join(directory, 'proc/12/fd/4'))
    assert.deepEqual(findListeners(path.join(directory, 'proc')), [
      { port: 22, program: 'sshd' },
      { port: 80, program: undefined },
    ])
    assert.deepEqual(findListeners(path.join(directory, 'nothing')), [])
  })

  it('reads the sockets of /proc/net/tcp, and no other line', () => {
    assert.deepEqual(parseTcpSockets('\n sl local\n 0: x\n 1: 00:1'), [])
    const [socket] = parseTcpSockets(line('0A7100CB:0016', '0A', 5))
    assert.deepEqual([socket?.localAddress, socket?.localPort, socket?.state], ['203.0.113.10', 22, 'listen'])
  })

  it('names a service after its program, in letters that names of services can have', () => {
    const names = [
      { port: 22, program: undefined },
      { port: 2222, program: 'sshd' },
      { port: 80, program: 'nginx: master' },
      { port: 81, program: '7-_' },
      { port: 82, program: undefined },
    ].map(nameOfService)
    assert.deepEqual(names, ['ssh', 'ssh', 'nginx-master', 'port-81', 'port-82'])
  })

  it('takes a service with its port, or a port', () => {
    assert.deepEqual(parseServicePort(' web=8080 '), { service: 'web', port: 8080 })
    assert.deepEqual(parseServicePort('22'), { service: undefined, port: 22 })
    for (const text of ['', 'ssh', 'ssh=', 'ssh=0', '22-23', '=']) assert.throws(() => parseServicePort(text))
  })

  const answers: Answers = {
    ...{
      service: 'ssh',
      port: 22,
      allowMe: false,
      allowMeFor: undefined,
      start: true,
      host: 'server.example',
      confirmWithin: 300,
    },
    knocker: { name: 'alice', keys: [], leftOut: [], described: 'the given key' },
  }

  it('writes the configuration where there is none, and otherwise a file of conf.d', () => {
    const config = path.join(directory, 'etc/pkctl.yaml')
    assert.equal(planFor(answers, config).file, config)
    write('etc/pkctl.yaml', 'services:\ncredentials:\n')
    const { file, text } = planFor(answers, config)
    assert.equal(file, path.join(directory, 'etc/conf.d/ssh.yaml'))
    assert.match(text, /authorized-keys: \.\.\/ssh\.authorized_keys/)
  })

  it('refuses what the configuration has already', () => {
    const config = path.join(directory, 'etc/pkctl.yaml')
    const refused = (text: string, message: RegExp) => {
      write('etc/pkctl.yaml', text)
      assert.throws(() => planFor(answers, config), { message })
    }
    refused('services: { ssh: { port: 2222 } }', /has a service ssh already/)
    refused('services: { other: { port: [80, 22] } }', /service other of the configuration has port 22 already/)
    refused('credentials: { ssh-users: { type: ssh } }', /has a credential ssh-users already/)
  })

  // ---- What cannot be carried out

  const silent = () => undefined
  const terminal: Terminal = {
    ...{ out: silent, error: silent, hint: silent, warn: silent, errorLine: silent, difference: silent },
    strong: text => text,
  }
  const planned = (folder: string) => planFor({ ...answers, start: false }, path.join(directory, folder, 'pkctl.yaml'))

  it('leaves a configuration, and a change that waits, which others made while it asked', async () => {
    const plan = planned('meanwhile')
    write('meanwhile/pkctl.yaml', 'services:\n')
    await assert.rejects(carryOut(terminal, plan), /pkctl\.yaml is there already/)
    write('meanwhile/pkctl.yaml.unconfirmed', '{}')
    await assert.rejects(carryOut(terminal, plan), /an earlier change is not confirmed yet/)
    assert.deepEqual(fs.readdirSync(path.dirname(plan.config)), ['pkctl.yaml', 'pkctl.yaml.unconfirmed'])
  })

  it('leaves the mark of another command, also where it fails after its own', async () => {
    const plan = planned('marked')
    const marker = `${plan.config}.unconfirmed`
    const marks: string[] = []
    const failing = {
      ...plan,
      get text(): string {
        marks.push(fs.readFileSync(marker, 'utf8'))
        fs.writeFileSync(marker, JSON.stringify({ mark: 'of another command' }))
        throw new Error('the disk is full')
      },
    }
    await assert.rejects(carryOut(terminal, failing), /the disk is full/)
    assert.match(marks.join(), /"added":\["ssh"\]/)
    assert.equal(fs.readFileSync(marker, 'utf8'), '{"mark":"of another command"}')
  })

  it(
    'makes no directory behind a link of another user',
    { skip: process.geteuid?.() !== 0 && 'needs root' },
    async () => {
      const [theirs, elsewhere] = [path.join(directory, 'theirs'), path.join(directory, 'elsewhere')]
      for (const made of [theirs, elsewhere]) fs.mkdirSync(made)
      fs.symlinkSync(elsewhere, path.join(theirs, 'link'))
      fs.chownSync(theirs, 65_534, 65_534)
      const hint = { message: /symbolic link, which a user other than root/, hint: 'run the command as root' }
      await assert.rejects(carryOut(terminal, planned('theirs/link/made')), hint)
      assert.deepEqual(fs.readdirSync(elsewhere), [])
    },
  )

  it('says how to run it where the directory of the configuration cannot be written', async () => {
    const plan = planned('closed')
    // In the place of the temporary file.
    fs.mkdirSync(`${plan.config}.unconfirmed.${process.pid}.new`, { recursive: true })
    const refused = { name: 'UserError', hint: 'run the command as root' }
    await assert.rejects(carryOut(terminal, plan), refused)
    // What cannot be read, for root as well.
    fs.mkdirSync(`${plan.config}.unconfirmed`)
    await assert.rejects(carryOut(terminal, plan), refused)
  })

  it('counts a unit as off only where systemctl says so', async () => {
    const states: Record<string, string> = { 'is-enabled': 'disabled\n', 'is-active': 'active\n' }
    const off = (verb: string) => states[verb] ?? ''
    const both = ['pkctl-rules.service', 'pkctld.service']
    const changed = () => unitsThatAreOff(([verb = '']) => Promise.resolve(off(verb)))
    assert.deepEqual(await changed(), { enabled: both, started: [] })
    states['is-active'] = 'inactive\n'
    assert.deepEqual((await changed()).started, both)
    const failing = await unitsThatAreOff(() => Promise.reject(new Error('timed out')))
    assert.deepEqual(failing, { enabled: [], started: [] })
    assert.deepEqual(await unitsThatAreOff(() => Promise.resolve('')), { enabled: [], started: [] })
  })

  it('makes a key of the server only for a credential that has no identity of its own', () => {
    const state = path.join(directory, 'state')
    const identityFor = (own: string) =>
      makeIdentity(write('keys.yaml', `state-directory: ${state}\ncredentials: { a: { type: ssh${own} } }\n`))
    for (const own of [', identity-file: group.key', ', identity: pk1:x']) assert.equal(identityFor(own), false)
    assert.equal(fs.existsSync(state), false)
    assert.equal(identityFor(''), true)
  })
})
