/** Metrics as Prometheus gets them: from a daemon on a real kernel, by socket, by TCP and by file. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as http from 'node:http'
import * as net from 'node:net'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Background } from '../support/commands.js'
import { root, until } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, client6, Lab, server4, server6 } from '../support/lab.js'

/** The value of each sample, by its name and labels as they are written. */
type Samples = ReadonlyMap<string, number>

const samplesOf = (text: string): Samples =>
  new Map(
    text.split('\n').flatMap(line => {
      const [, key = '', value] = /^([^#].*) (\S+)$/.exec(line) ?? []
      return value === undefined ? [] : [[key, Number(value)] as const]
    }),
  )

interface Answer {
  readonly status: number
  readonly text: string
  readonly headers: http.IncomingHttpHeaders
}

function request(socketPath: string, options: http.RequestOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = http.request({ socketPath, path: '/metrics', ...options }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, text, headers: response.headers })
      })
    })
    sent.on('error', reject)
    sent.end()
  })
}

/** How often each metric of pkctl has which labels. */
function shapeOf(samples: Samples): Map<string, string> {
  const shape = new Map<string, string>()
  for (const key of samples.keys()) {
    const [, name = '', labels = ''] = /^(pkctl_\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})?$/.exec(key) ?? []
    if (name === '') continue
    const names = [...labels.matchAll(/(\w+)="/g)].flatMap(([, label]) => (label === 'le' ? [] : [label]))
    shape.set(name, names.join(', '))
  }
  return shape
}

const services = `
services:
  ssh: { port: 22 }
  web: { port: 80 }
credentials:
  laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh], skew: 30 }
  phone: { type: sequence, sequence: [7000, 7001], opens: [web] }`

describe('metrics', () => {
  let lab: Lab
  let daemon: Background
  let config: string
  let socket: string
  let textfile: string

  before(async () => {
    lab = await Lab.create()
    socket = path.join(lab.directory, 'metrics.sock')
    textfile = path.join(lab.directory, 'pkctl.prom')
    await lab.serve(22)
    config = lab.config(
      services,
      `log: { level: debug, format: json }\nmetrics: { listen: ${socket}, textfile: ${textfile}, interval: 1 }`,
    )
    daemon = await lab.daemon(config)
    await until(() => fs.existsSync(socket))
  })
  after(() => lab.remove())

  const scrape = async () => samplesOf((await request(socket)).text)
  /** A scrape in which the sample has the value; a text is served again for some time. */
  async function scrapeWith(key: string, value: number): Promise<Samples> {
    let samples: Samples = new Map()
    await until(async () => {
      samples = await scrape()
      return samples.get(key) === value
    }).catch(() => assert.equal(samples.get(key), value, key))
    return samples
  }
  const send = (hex: string) => lab.peer({ send: { host: server4, port: knockPort, from: client4, hex } })
  const status = async () =>
    JSON.parse(await lab.mustPkctl('status', '--json')) as {
      knocks: { accepted: number; refused: Record<string, number> }
    }

  it('knocks by credential, outcome and reason: as many as the status has', async () => {
    const hex = knockHex({ ahead: 7 })
    await send(hex)
    await send(hex)
    await send(knockHex({ ahead: 600 }))
    await send(knockHex({ key: 'wrong' }))
    for (const port of [7000, 7001]) await lab.peer({ connect: { host: server4, port, from: client4 } })
    await until(async () => (await status()).knocks.accepted === 2)
    const samples = await scrapeWith('pkctl_knocks_total{credential="phone",outcome="accepted",reason=""}', 1)
    const knocks = [...samples].filter(([key]) => key.startsWith('pkctl_knocks_total'))
    const of = (credential: string, outcome: string, reason: string) =>
      `pkctl_knocks_total{credential="${credential}",outcome="${outcome}",reason="${reason}"}`
    assert.deepEqual(
      new Map(knocks),
      new Map([
        [of('laptop', 'accepted', ''), 1],
        [of('laptop', 'refused', 'replayed'), 1],
        [of('laptop', 'refused', 'skewed'), 1],
        [of('', 'refused', 'bad-hash'), 1],
        [of('phone', 'accepted', ''), 1],
      ]),
    )
    const { accepted, refused } = (await status()).knocks
    const counted = Object.values(refused).reduce((sum, count) => sum + count, accepted)
    assert.equal(
      knocks.reduce((sum, [, count]) => sum + count, 0),
      counted,
    )
    const skew = samples.get('pkctl_clock_skew_seconds{credential="laptop"}') ?? NaN
    assert.ok(skew >= 6 && skew <= 7, `the clock of the last accepted knock: ${skew} s`)
    assert.equal(samples.get('pkctl_replay_entries'), 1)
  })

  it('grants by service, family and origin, and the packets of each service', async () => {
    await lab.mustPkctl('add', client6, '--service', 'ssh', '--for', '1h')
    assert.equal(await lab.opens(server6, client6), 'open')
    const grants = (service: string, family: string, by: string) =>
      `pkctl_grants{service="${service}",family="${family}",by="${by}"}`
    const samples = await scrapeWith(grants('ssh', 'ipv6', 'hand'), 1)
    assert.equal(samples.get(grants('ssh', 'ipv4', 'knock')), 1)
    assert.equal(samples.get(grants('web', 'ipv4', 'knock')), 1)
    assert.equal(samples.get(grants('web', 'ipv6', 'hand')), 0)
    await scrapeWith('pkctl_service_packets_total{service="ssh",verdict="accepted"}', 1)
    assert.equal(samples.get('pkctl_scrape_error'), 0)
    assert.ok((samples.get('pkctl_nft_request_seconds_count{request="list"}') ?? 0) > 0)
  })

  it('changes of other programs, and how long they lasted', async () => {
    await lab.on(['nft', 'flush', 'chain', 'inet', 'pkctl', 'pk-ssh'])
    const samples = await scrapeWith('pkctl_heals_total', 1)
    assert.ok((samples.get('pkctl_open_seconds_total') ?? 0) > 0)
    assert.equal(samples.get('pkctl_watched'), 1)
  })

  it('whether the last reload was refused', async () => {
    const good = fs.readFileSync(config, 'utf8')
    fs.writeFileSync(config, good.replace('port: 80', 'port: 0'))
    assert.equal((await lab.pkctl('reload')).status, 1)
    await scrapeWith('pkctl_reload_failed', 1)
    fs.writeFileSync(config, good.replace(/metrics: .*/, 'metrics: { listen: "127.0.0.1:1" }'))
    assert.match(
      (await lab.pkctl('reload')).stderr,
      /metrics\.listen, metrics\.textfile, metrics\.interval take effect/,
    )
    await scrapeWith('pkctl_reload_failed', 0)
    fs.writeFileSync(config, good)
    await lab.mustPkctl('reload')
  })

  it('only by GET and HEAD of one path, and only for root', async () => {
    assert.equal(fs.statSync(socket).mode & 0o777, 0o600)
    const { status, headers, text } = await request(socket, { method: 'HEAD' })
    assert.deepEqual([status, text], [200, ''])
    assert.match(headers['content-type'] ?? '', /^text\/plain; version=0\.0\.4/)
    assert.equal((await request(socket, { method: 'POST' })).status, 405)
    for (const wrong of ['/', '/metrics/', '/metrics/../metrics', '*'])
      assert.equal((await request(socket, { path: wrong })).status, 404, wrong)
  })

  it('nothing for clients that flood, hang, or send too much; knocks are answered beside them', async () => {
    const errors: string[] = []
    const hanging = Array.from({ length: 200 }, () => {
      const connection = net.connect(socket)
      connection.on('error', ({ message }) => errors.push(message))
      connection.write('GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ')
      return connection
    })
    const { accepted } = (await status()).knocks
    await send(knockHex({}))
    await until(async () => (await status()).knocks.accepted === accepted + 1)
    const large = await request(socket, { headers: { 'X-Large': 'x'.repeat(100_000) } }).catch(() => null)
    assert.ok(large === null || large.status === 431, `a header of 100 kB: ${large?.status}`)
    // Those that hang are cut off in time, and then there is room.
    await until(() =>
      request(socket)
        .then(({ status }) => status === 200)
        .catch(() => false),
    )
    await Promise.all(Array.from({ length: 20 }, () => request(socket)))
    assert.equal(daemon.child.exitCode, null)
    for (const connection of hanging) connection.destroy()
  })

  it('the same in a file that others can read, and that is gone when the daemon has stopped', async () => {
    await until(() => fs.existsSync(textfile) && fs.readFileSync(textfile, 'utf8').includes('pkctl_heals_total 1'))
    assert.equal(fs.statSync(textfile).mode & 0o777, 0o644)
    const [file, served] = [shapeOf(samplesOf(fs.readFileSync(textfile, 'utf8'))), shapeOf(await scrape())]
    assert.deepEqual([...file], [...served])
    await daemon.stop()
    assert.deepEqual([fs.existsSync(textfile), fs.existsSync(socket)], [false, false])
    daemon = await lab.daemon(config)
    await until(() => fs.existsSync(socket))
  })

  it('what docs/monitoring.md lists, and no more', async () => {
    await send(knockHex({ ahead: 1 }))
    // Of the daemon that has just started.
    await until(async () => (await scrape()).has('pkctl_selftest_passed'))
    const samples = await scrapeWith('pkctl_knocks_total{credential="laptop",outcome="accepted",reason=""}', 1)
    const text = fs.readFileSync(path.join(root, 'docs/monitoring.md'), 'utf8')
    const rows = [...text.matchAll(/^\| `(pkctl_\w+)` *\|([^|]*)\|/gm)]
    const documented = new Map(
      rows.map(([, name = '', labels = '']) => [name, [...labels.matchAll(/`(\w+)`/g)].map(([, l]) => l).join(', ')]),
    )
    // Without a credential of type ssh there are no signatures.
    documented.delete('pkctl_signatures_up')
    // This server is in no fleet: see fleet.test.ts.
    for (const name of documented.keys()) if (name.startsWith('pkctl_fleet_')) documented.delete(name)
    // Grants are compared within a minute, and before that the metric is missing.
    const comparedAt = 'pkctl_grants_compared_timestamp_seconds'
    assert.ok(documented.has(comparedAt))
    if (!samples.has(comparedAt)) documented.delete(comparedAt)
    assert.deepEqual(new Map([...shapeOf(samples)].sort()), new Map([...documented].sort()))
    const others = [...samples.keys()].filter(name => !/^(pkctl|process|nodejs)_/.test(name))
    assert.deepEqual(others, [])
  })
})
