/** Debian's client of fwknop knocks. It knows IPv4 only, and so does its packet. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { until } from '../support/commands.js'
import { fwknopClient, fwknopKeys, fwknopPacket, withHmac } from '../support/fwknop.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'

const port = 62_201
const services = 'services: { ssh: { port: 22, window: 30 }, web: { port: 80, window: 30 } }\n'
const keys = `key: ${fwknopKeys.key}, hmac-key: ${fwknopKeys['hmac-key']}`
const config = (more = 'opens: [ssh]') =>
  `${services}credentials:\n  telephone: { type: fwknop, ${keys}, rate: none, ${more} }\n`

describe("fwknop's client", () => {
  let lab: Lab
  beforeEach(async () => {
    lab = await Lab.create()
    await lab.serve(22)
  })
  afterEach(() => lab.remove())

  const knock = async (...args: string[]) => {
    const { status, stderr } = await lab.from(fwknopClient(lab.directory, server4, args))
    assert.equal(status, 0, stderr)
  }
  const send = (text: string, from = client4) => ({
    send: { host: server4, port, from, hex: Buffer.from(text, 'latin1').toString('hex') },
  })
  const sourceItself = ['-A', 'tcp/22', '-s']

  it('opens the port that it asks for, for its source and the address that it names', async () => {
    const daemon = await lab.daemon(lab.config(config()))
    for (const [where, address] of [
      [['-s'], client4],
      [['-a', client4], client4],
    ] as const) {
      assert.equal(await lab.opens(server4, client4), 'timeout')
      await knock('-A', 'tcp/22', ...where, ...withHmac)
      await daemon.says(/knock by telephone from 10\.77\.0\.2 opens ssh for 30 s/)
      assert.equal(await lab.opens(server4, client4), 'open')
      assert.equal(await lab.opens(server4, stranger4), 'timeout')
      await lab.mustPkctl('delete', address, '--service', 'ssh')
    }
  })

  it('opens those of several services that it asks for, for the time that it asks for', async () => {
    const daemon = await lab.daemon(lab.config(config('opens: [ssh, web], max-window: 100')))
    await knock('-A', 'tcp/80', '-s', ...withHmac)
    await daemon.says(/opens web for 30 s/)
    await until(async () => (await lab.mustPkctl('list', 'web')).includes(client4))
    assert.doesNotMatch(await lab.mustPkctl('list', 'ssh'), /10\.77\.0\.2/)
    await knock('-A', 'tcp/22,tcp/80', '-s', '-f', '90', ...withHmac)
    await daemon.says(/opens ssh for 90 s, web for 90 s/)
    await until(async () => (await lab.mustPkctl('list', 'ssh')).includes(client4))
    assert.equal(await lab.opens(server4, client4), 'open')
    await knock('-A', 'tcp/22', '-s', '-f', '500', ...withHmac)
    await daemon.says(/opens ssh for 100 s/)
  })

  it('is understood with each digest and each HMAC, and not without an HMAC', async () => {
    const types = ['md5', 'sha1', 'sha256', 'sha384', 'sha512', 'sha3-256', 'sha3-512']
    const credentials = types.map(
      type =>
        `  by-${type}: { type: fwknop, key: ${fwknopKeys.key}, hmac-key: of-${type}, hmac: ${type}, rate: none, opens: [ssh] }\n`,
    )
    const daemon = await lab.daemon(lab.config(`${services}credentials:\n${credentials.join('')}`))
    for (const type of types) {
      const clients = type.replace('-', '_')
      await knock(
        ...sourceItself,
        '-m',
        clients,
        '--hmac-digest-type',
        clients,
        '--use-hmac',
        '--key-hmac',
        `of-${type}`,
      )
      await daemon.says(new RegExp(`knock by by-${type} from 10\\.77\\.0\\.2 opens ssh`))
      await lab.mustPkctl('delete', client4, '--service', 'ssh')
    }
    await knock(...sourceItself)
    await daemon.says(/refused: bad hash/)
    assert.equal(await lab.opens(server4, client4), 'timeout')
  })

  it('is refused a copy of its packet, also spelled in another way and after a restart', async () => {
    const first = await lab.daemon(lab.config(config()))
    const text = await fwknopPacket(lab.directory, [...sourceItself, ...withHmac])
    await lab.peer(send(text))
    await first.says(/opens ssh/)
    await lab.mustPkctl('delete', client4, '--service', 'ssh')
    await lab.peer(send(text, stranger4))
    await first.says(/knock by telephone from 10\.77\.0\.3 refused: replayed/)
    await lab.peer(send(`${text}=`), send(`U2FsdGVkX1${text}`), send(text.replace(/.$/, '=')))
    assert.equal(await first.stop(), 0)
    const second = await lab.daemon(lab.config(config()))
    await lab.peer(send(text))
    await second.says(/refused: replayed/)
    assert.equal(await lab.opens(server4, client4), 'timeout')
  })

  const refused: readonly [string, string, readonly string[], RegExp][] = [
    ['of another port', 'opens: [ssh]', ['-A', 'tcp/80', '-s', ...withHmac], /asks for a port of no service/],
    ['of a port more', 'opens: [ssh]', ['-A', 'tcp/22,tcp/443', '-s', ...withHmac], /asks for a port of no service/],
    ['for another address', 'opens: [ssh]', ['-A', 'tcp/22', '-a', stranger4, ...withHmac], /that it may not ask for/],
    ['of another user', 'opens: [ssh], user: bob', [...sourceItself, '-U', 'alice', ...withHmac], /names another user/],
    [
      'that names no address, where it must',
      'opens: [ssh], require-source-address: true',
      [...sourceItself, ...withHmac],
      /names no address of its sender/,
    ],
    ['of an expired credential', 'opens: [ssh], expires: 2020-01-01', [...sourceItself, ...withHmac], /has expired/],
    ['with NAT', 'opens: [ssh]', [...sourceItself, '-N', '10.77.0.9,22', ...withHmac], /asks for address translation/],
    [
      'with NAT and a timeout',
      'opens: [ssh]',
      [...sourceItself, '-N', '10.77.0.9,22', '-f', '60', ...withHmac],
      /asks for address translation/,
    ],
    [
      'with local NAT',
      'opens: [ssh]',
      [...sourceItself, '--nat-local', '--nat-port', '22', ...withHmac],
      /asks for address translation/,
    ],
    [
      'with local NAT and a timeout',
      'opens: [ssh]',
      [...sourceItself, '--nat-local', '--nat-port', '22', '-f', '60', ...withHmac],
      /asks for address translation/,
    ],
    ['with a command', 'opens: [ssh]', ['-C', 'id', '-a', client4, ...withHmac], /asks to run a command/],
    [
      'of an old clock',
      'opens: [ssh]',
      [...sourceItself, '--time-offset-minus', '3M', ...withHmac],
      /skewed: the clocks differ by 18\d s/,
    ],
    [
      'with another key of the HMAC',
      'opens: [ssh]',
      [...sourceItself, '--use-hmac', '--key-hmac', 'another'],
      /refused: bad hash/,
    ],
    ['in another mode', 'opens: [ssh]', [...sourceItself, '-M', 'ctr', ...withHmac], /refused: bad hash/],
  ]
  for (const [name, more, args, reason] of refused) {
    it(`is refused a packet ${name}`, async () => {
      const daemon = await lab.daemon(lab.config(config(more)))
      await knock(...args)
      await daemon.says(reason)
      assert.equal(await lab.opens(server4, client4), 'timeout')
      assert.equal(await lab.opens(server4, stranger4), 'timeout')
    })
  }

  it('opens for another address, where its credential says so', async () => {
    const daemon = await lab.daemon(lab.config(config(`opens: [ssh], obo: true, obo-prefixes: [${stranger4}]`)))
    await knock('-A', 'tcp/22', '-a', stranger4, ...withHmac)
    await daemon.says(/from 10\.77\.0\.2 on behalf of 10\.77\.0\.3 opens ssh/)
    await until(async () => (await lab.mustPkctl('list', 'ssh')).includes(stranger4))
    assert.equal(await lab.opens(server4, stranger4), 'open')
    assert.equal(await lab.opens(server4, client4), 'timeout')
  })

  it('is no packet of another length, port or beginning, which does not leave the kernel', async () => {
    await lab.daemon(lab.config(config()))
    const text = await fwknopPacket(lab.directory, [...sourceItself, ...withHmac])
    const elsewhere = { send: { ...send(text).send, port: port + 1 } }
    await lab.peer(send(text.slice(1)), send(`A${text.slice(1)}`), elsewhere)
    assert.equal(await lab.opens(server4, client4), 'timeout')
    const { knocks } = JSON.parse(await lab.mustPkctl('status', '--json')) as { knocks: { refused: object } }
    assert.deepEqual(knocks.refused, {})
  })
})
