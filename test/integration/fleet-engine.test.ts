/** A fleet with an engine that lets in only who may, by TLS; and one of twenty servers. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { parse } from 'yaml'
import { must, root, until } from '../support/commands.js'
import type { FleetServer } from '../support/engine.js'
import { clientAddress, engineAddress, FleetSite, skipWithoutEngine } from '../support/engine.js'
import { FleetClient } from '../support/fleet-client.js'
import { knockPort } from '../support/knocks.js'

/** The engine in docs/fleet.md. */
interface Compose {
  readonly services: { readonly engine: { readonly command: readonly string[] } }
}

const configOf = (server: FleetServer, fleet: string) => {
  server.file('fleet.key', `0x${'7f'.repeat(32)}\n`)
  server.file('word', 'T0PSECRET\n')
  return server.config(`services: { ssh: { port: 22, window: 60 } }
credentials: { laptop: { type: pkd, tag: SSHK, key: test, port: ${knockPort}, opens: [ssh], rate: none } }
fleet: { group: edge, node: ${server.node}, key-file: fleet.key, share: [ssh], accept: [ssh], ${fleet} }`)
}

describe('a fleet by TLS, with the least rights', { skip: skipWithoutEngine }, () => {
  let site: FleetSite
  let client: FleetClient
  let ca: string
  let rights: string[]

  before(async () => {
    const file = (name: string) => `${site.directory}/${name}`
    site = await FleetSite.create(2)
    ca = file('cert.pem')
    await must([
      ...['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=engine'],
      ...['-addext', `subjectAltName=IP:${engineAddress}`, '-keyout', file('key.pem'), '-out', ca],
    ])
    // As docs/fleet.md has it.
    const document = fs.readFileSync(path.join(root, 'docs/fleet.md'), 'utf8')
    const user = /^user pkctl on .*$/m.exec(document)?.[0].replace('PASSWORD', 'T0PSECRET') ?? ''
    const admin = 'user admin on >T0PSECRET +@all'
    fs.writeFileSync(file('users.acl'), `user default off\n${user}\n${admin}\n`)
    rights = [...user.matchAll(/ \+(\w+)/g)].map(([, name = '']) => name)
    // And started as its example for Docker Compose does it.
    const compose = parse(/```yml compose\n([^]*?)```/.exec(document)?.[1] ?? '') as Compose
    const { command } = compose.services.engine
    const here = {
      'engine.pem': ca,
      'engine.key': file('key.pem'),
      'engine-ca.pem': ca,
      'users.acl': file('users.acl'),
    }
    const inPlace = (value = '') =>
      Object.entries(here).reduce((all, [name, is]) => all.replace(`/engine/${name}`, is), value)
    site.engine.options = command.slice(1).flatMap(option => option.split(' ').map(inPlace))
    await site.engine.start()
    client = new FleetClient(site)
  })
  after(async () => {
    client.stop()
    await site.remove()
  })

  it('shares grants', async () => {
    const [one, two] = site.servers as [FleetServer, FleetServer]
    const fleet = `url: "rediss://${engineAddress}", user: pkctl, password-file: word, ca-file: ${ca}`
    await site.startAll(server => configOf(server, fleet))
    await client.knock(one)
    for (const server of [one, two]) await client.opensSoon(server)
    // Also what it does every few seconds. It needs each of the rights, and no other.
    await until(async () => {
      const access = ['--tls', '--cacert', ca, '--user', 'admin', '--pass', 'T0PSECRET', '--no-auth-warning']
      const told = await site.engine.cli(...access, 'info', 'commandstats')
      const stats = [...told.matchAll(/^cmdstat_(\w+):calls=(\d+),.*rejected_calls=(\d+)/gm)]
      const refused = stats.filter(([, , , times]) => times !== '0').map(([, name]) => name)
      assert.deepEqual(refused, [])
      return rights.every(right => stats.some(([, name, times]) => name === right && times !== '0'))
    })
    for (const { daemon } of [one, two]) assert.doesNotMatch(daemon?.output ?? '', /is away|NOPERM|T0PSECRET/)
  })

  it('says why it does not reach the engine, and not with which password', async () => {
    const [one] = site.servers as [FleetServer]
    await one.stop()
    await one.start(configOf(one, `url: "rediss://${engineAddress}", user: pkctl, password-file: word`))
    await one.says(/the engine of the fleet is away.*self.signed certificate/)
    await client.knock(one)
    await client.opensSoon(one)
    assert.doesNotMatch(one.daemon?.output ?? '', /T0PSECRET/)
  })
})

describe('a fleet of twenty servers', { skip: skipWithoutEngine }, () => {
  let site: FleetSite
  let client: FleetClient

  before(async () => {
    site = await FleetSite.create(20)
    await site.engine.start()
    client = new FleetClient(site)
    const fleet = `url: "redis://${engineAddress}"`
    await site.startAll(server => configOf(server, fleet))
  })
  after(async () => {
    client.stop()
    await site.remove()
  })

  it('opens as a whole, and closes as a whole', async () => {
    const [first, second] = site.servers as [FleetServer, FleetServer]
    await client.knock(first)
    for (const server of site.servers) await client.opensSoon(server)
    await second.mustCommand('delete', clientAddress, '--service', 'ssh')
    for (const server of site.servers) await client.closesSoon(server)
  })
})
