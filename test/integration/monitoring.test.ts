/** What templates/monitoring has, with the real Prometheus: it scrapes the daemon, and evaluates alerts and dashboard. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { parse } from 'yaml'
import { must, root, until } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, Lab, server4 } from '../support/lab.js'

const templates = path.join(root, 'templates/monitoring')
const textOf = (name: string) => fs.readFileSync(path.join(templates, name), 'utf8')
const documentation = fs.readFileSync(path.join(root, 'docs/monitoring.md'), 'utf8')

const rules = (parse(textOf('pkctl.rules.yml')) as { groups: { rules: { alert: string; expr: string }[] }[] }).groups
  .flatMap(group => group.rules)
  .map(({ alert, expr }) => ({ alert, expr }))
const { panels } = JSON.parse(textOf('dashboard.json')) as { panels: { title: string; targets: { expr: string }[] }[] }
const queries = panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ title, expr })))
const names = (pattern: RegExp, text: string) => [...text.matchAll(pattern)].map(([, name = '']) => name)

const cache = path.join(process.env['XDG_CACHE_HOME'] ?? path.join(os.homedir(), '.cache'), 'pkctl/prometheus')
/** That of the machine, or what scripts/fetch-prometheus.sh has put into the cache; undefined where there is none. */
const directory = ['/usr/bin', cache].find(folder => fs.existsSync(path.join(folder, 'promtool')))
const skip = directory === undefined ? 'needs the package prometheus' : false
const program = (name: 'prometheus' | 'promtool') => path.join(directory ?? '', name)

/** An address that the server does not have at first, and its port. */
const place = '192.0.2.1:9754'
const services = `
services: { ssh: { port: 22 } }
credentials:
  laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh] }`

describe('what docs/monitoring.md says of alerts and dashboard', () => {
  it('names each alert, and each has a test of what it fires on and one of what not', () => {
    const alerts = rules.map(({ alert }) => alert)
    assert.deepEqual(names(/^\| `(Pkctl\w+)`/gm, documentation), alerts)
    const tests = names(/- name: (.*)/g, textOf('pkctl.rules.test.yml'))
    assert.deepEqual(
      tests,
      alerts.flatMap(alert => [`${alert} fires`, `${alert} does not`]),
    )
  })

  it('names each metric of pkctl that they use', () => {
    const documented = new Set(names(/^\| `(pkctl_\w+)`/gm, documentation))
    for (const { expr } of [...rules, ...queries]) {
      for (const used of names(/\b(pkctl_\w+?)(?:_bucket)?\b/g, expr))
        assert.ok(documented.has(used), `${used}: ${expr}`)
    }
  })
})

describe('Prometheus', { skip }, () => {
  let lab: Lab

  before(async () => {
    lab = await Lab.create()
    const metrics = `metrics: { listen: "${place}" }`
    const daemon = await lab.daemon(lab.config(services, `log: { level: debug, format: json }\n${metrics}`))
    // Knocks are answered all the same.
    await daemon.says(/metrics are not served at 192\.0\.2\.1:9754: /)
    await must(['ip', '-n', lab.server, 'addr', 'add', '192.0.2.1/32', 'dev', 'lo'])
  })
  after(() => lab.remove())

  it('takes the alerts, which fire on what they say, and on nothing else', async () => {
    await must([program('promtool'), 'test', 'rules', 'pkctl.rules.test.yml'], { cwd: templates })
  })

  it('scrapes the daemon, and answers each query of the dashboard', async () => {
    const [seconds, rulesFile] = ['scrape_interval: 1s', path.join(templates, 'pkctl.rules.yml')]
    const configuration = textOf('scrape.yml')
      .replace(/scrape_interval: \S+/, seconds)
      .replaceAll('127.0.0.1:9754', place)
      .replace('/etc/prometheus/pkctl.rules.yml', rulesFile)
    const file = lab.file('prometheus.yml', configuration)
    await must([program('promtool'), 'check', 'config', file])
    const data = `--storage.tsdb.path=${path.join(lab.directory, 'data')}`
    const listen = '--web.listen-address=127.0.0.1:9090'
    lab.start('server', [program('prometheus'), `--config.file=${file}`, data, listen])
    const api = async (what: string, ...query: string[]): Promise<unknown> => {
      const url = `http://127.0.0.1:9090/api/v1/${what}`
      const { status, stdout } = await lab.on(['curl', '-sfG', '--max-time', '10', url, ...query])
      return status === 0 ? (JSON.parse(stdout) as { data?: unknown }).data : undefined
    }
    const query = async (expr: string) => {
      const data = await api('query', '--data-urlencode', `query=${expr.replaceAll('$instance', '.*')}`)
      return (data as { result: { value: [number, string] }[] } | undefined)?.result ?? []
    }
    for (const key of ['test', 'wrong'])
      await lab.peer({ send: { host: server4, port: knockPort, from: client4, hex: knockHex({ key }) } })
    await until(async () => (await query('up{job="pkctl"} == 1')).length === 1, 120_000)
    await until(async () => (await query('pkctl_knocks_total')).length === 2)
    // Rates need two scrapes.
    await until(async () => (await query('rate(pkctl_knocks_total[1m])')).length === 2)
    for (const { title, expr } of queries) assert.ok((await query(expr)).length > 0, `${title}: ${expr}`)
    const { groups } = (await api('rules')) as { groups: { rules: { name: string }[] }[] }
    assert.deepEqual(
      groups.flatMap(group => group.rules.map(({ name }) => name)),
      rules.map(({ alert }) => alert),
    )
  })
})
