/** templates/fail2ban and templates/crowdsec, read by the real programs: for which refusals an address is banned, and for which not. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { refusals, refusedCopies, refusedUnverified, type Refusal } from '../../src/controller/verify/decision.js'
import { claimRefusals } from '../../src/controller/packets/knock-claim.js'
import { knockMessage } from '../../src/controller/report/knock-messages.js'
import { must, root, until } from '../support/commands.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { client4, Lab, server4 } from '../support/lab.js'

const templates = path.join(root, 'templates')
const cache = path.join(process.env['XDG_CACHE_HOME'] ?? path.join(os.homedir(), '.cache'), 'pkctl')
const without = (name: string) => (fs.existsSync(path.join(cache, name)) ? false : `needs Debian's package of ${name}`)
const directory = fs.mkdtempSync('/tmp/pkctl-bans-')
after(() => fs.rmSync(directory, { recursive: true }))

/** The server is at fault, and not the sender: never a reason for a ban. */
const ofServer: readonly Refusal[] = [
  ...(['revocations-unknown', 'signatures-busy', 'signatures-late', 'signatures-down'] as const),
  ...(['line-unmarked', 'memory-full', 'state-unwritable'] as const),
  ...claimRefusals,
]
const kindOf = (reason: Refusal) =>
  ofServer.includes(reason)
    ? 'none'
    : refusedCopies.has(reason)
      ? 'copies'
      : refusedUnverified.has(reason)
        ? 'unverified'
        : 'verified'

/** As the journal shows it, and syslog writes it. */
const logged = (message: string, second = 0) =>
  `Nov 30 09:00:${String(second).padStart(2, '0')} server pkctld[123]: ${message}\n`
/** Each reason has an address of its own. */
const sourceOf = (reason: Refusal) => `192.0.2.${refusals.indexOf(reason) + 1}`
const sourcesOf = (...kinds: string[]) => refusals.filter(reason => kinds.includes(kindOf(reason))).map(sourceOf)

/** What the certificate of a signed knock can contain, with which its owner may try to have others banned. */
const keyId = 'x from 198.51.100.9 refused: rate-limited'
function refused(reason: Refusal): string {
  const signer = { user: 'alice', fingerprint: 'SHA256:abc', keyId, serial: '1' }
  const event = {
    kind: 'refuse',
    reason,
    credential: 'people',
    source: sourceOf(reason),
    port: 62_201,
    signer,
  } as const
  return knockMessage(event, []).message
}

describe('the filter for fail2ban', { skip: without('fail2ban') }, () => {
  const tree = path.join(cache, 'fail2ban')
  const configuration = path.join(directory, 'fail2ban')

  before(() => {
    fs.cpSync(path.join(tree, 'etc/fail2ban'), configuration, { recursive: true })
    fs.cpSync(path.join(templates, 'fail2ban'), configuration, { recursive: true })
  })

  /** The addresses of the lines that count in a mode. */
  async function counted(mode: string, log: string): Promise<string[]> {
    const file = path.join(directory, 'log')
    fs.writeFileSync(file, log)
    const program = ['/usr/bin/python3', path.join(tree, 'usr/bin/fail2ban-regex'), '-c', configuration, '-o', 'ip']
    const env = { PYTHONPATH: path.join(tree, 'usr/lib/python3/dist-packages') }
    return (await must([...program, file, `pkctl[mode=${mode}]`], { env })).trim().split('\n')
  }

  for (const [mode, ...kinds] of [
    ['verified', 'verified'],
    ['copies', 'verified', 'copies'],
    ['all', 'verified', 'copies', 'unverified'],
  ] as const) {
    it(`counts in the mode ${mode} each reason of that kind, and no other`, async () => {
      assert.deepEqual(
        await counted(mode, refusals.map(reason => logged(refused(reason))).join('')),
        sourcesOf(...kinds),
      )
    })
  }

  it('has a jail that bans for nothing but what takes a secret', async () => {
    const dump = ['/usr/bin/python3', path.join(tree, 'usr/bin/fail2ban-client'), '-c', configuration, '-d']
    const said = await must(dump, { env: { PYTHONPATH: path.join(tree, 'usr/lib/python3/dist-packages') } })
    assert.match(said, /\['add', 'pkctl', 'systemd'\]/)
    assert.match(said, /\['set', 'pkctl', 'addjournalmatch', '_SYSTEMD_UNIT=pkctld\.service'\]/)
    const [, pattern = ''] = /\['set', 'pkctl', 'addfailregex', (.*)\]/.exec(said) ?? []
    assert.match(pattern, /rate-limited/)
    assert.doesNotMatch(pattern, /skewed|bad hash/)
  })

  it('reads what a daemon logs', async () => {
    const lab = await Lab.create()
    try {
      const credential = 'laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh], rate: 1/hour }'
      const config = lab.config(
        `services: { ssh: { port: 22 } }\ncredentials: { ${credential} }`,
        'log: { level: debug, format: text }',
      )
      const daemon = await lab.daemon(config)
      const hexes = [knockHex(), knockHex(), knockHex({ key: 'wrong' }), knockHex({ ahead: 14_400 })]
      await lab.peer(...hexes.map(hex => ({ send: { host: server4, port: knockPort, from: client4, hex } })))
      await until(() => ['rate-limited', 'bad hash', 'skewed'].every(word => daemon.output.includes(word)))
      const lines = [...daemon.output.matchAll(/knock .* refused: .*/g)].map(([line]) => logged(line)).join('')
      for (const [mode, times] of [
        ['verified', 1],
        ['copies', 2],
        ['all', 3],
      ] as const) {
        assert.deepEqual(await counted(mode, lines), Array<string>(times).fill(client4), lines)
      }
    } finally {
      await lab.remove()
    }
  })
})

describe('parser and scenario for crowdsec', { skip: without('crowdsec') }, () => {
  it('ban for what takes a secret, and tell the rest apart', async () => {
    const tree = path.join(cache, 'crowdsec')
    const own = path.join(directory, 'crowdsec')
    const write = (name: string, text: string) => {
      fs.mkdirSync(path.dirname(path.join(own, name)), { recursive: true })
      fs.writeFileSync(path.join(own, name), text)
      return path.join(own, name)
    }
    for (const name of ['patterns', 'profiles.yaml', 'simulation.yaml']) {
      fs.cpSync(path.join(tree, 'etc/crowdsec', name), path.join(own, 'etc', name), { recursive: true })
    }
    for (const name of ['s00-raw/crowdsecurity/syslog-logs', 's02-enrich/crowdsecurity/dateparse-enrich']) {
      const text = fs.readFileSync(path.join(tree, 'usr/share/crowdsec/hub/parsers', `${name}.yaml`), 'utf8')
      write(`etc/parsers/${name.replace('crowdsecurity/', '')}.yaml`, text)
    }
    fs.cpSync(path.join(templates, 'crowdsec/parsers'), path.join(own, 'etc/parsers/s01-parse'), { recursive: true })
    // The one for bans, and the same for the other types, to see that these are told apart.
    const scenario = fs.readFileSync(path.join(templates, 'crowdsec/scenarios/pkctl-refused.yaml'), 'utf8')
    write('etc/scenarios/verified.yaml', scenario)
    for (const type of ['copy', 'unverified']) {
      const other = scenario.replace('pkctl/refused', `pkctl/${type}`).replace('refused_verified', `refused_${type}`)
      write(`etc/scenarios/${type}.yaml`, other)
    }
    for (const name of ['data', 'plugins', 'notifications']) fs.mkdirSync(path.join(own, name))
    const index = write('hub/.index.json', '{ "parsers": {}, "scenarios": {}, "postoverflows": {}, "collections": {} }')
    const acquisition = write('etc/acquis.yaml', '')
    const credentials = write('etc/credentials.yaml', '')
    const paths = {
      ...{ config_dir: `${own}/etc/`, data_dir: `${own}/data/`, hub_dir: `${own}/hub/`, index_path: index },
      ...{ plugin_dir: `${own}/plugins/`, notification_dir: `${own}/notifications/` },
      simulation_path: `${own}/etc/simulation.yaml`,
    }
    const server = { listen_uri: '127.0.0.1:18099', profiles_path: `${own}/etc/profiles.yaml` }
    const config = write(
      'config.yaml',
      JSON.stringify({
        common: { daemonize: false, log_media: 'stdout', working_dir: own },
        config_paths: paths,
        crowdsec_service: { acquisition_path: acquisition },
        db_config: { type: 'sqlite', db_path: `${own}/data/db` },
        api: { client: { credentials_path: credentials }, server },
        plugin_config: { user: 'root', group: 'root' },
      }),
    )
    const times = Array.from({ length: 11 }, (_, second) => second)
    const lines = times.flatMap(second => refusals.map(reason => logged(refused(reason), second)))
    const log = write('log', lines.join(''))
    // In a network of its own: it listens on a port.
    const alone = ['unshare', '--net', 'sh', '-ec', 'ip link set lo up; exec "$@"', 'sh']
    const bin = path.join(tree, 'usr/bin')
    await must([...alone, `${bin}/cscli`, '-c', config, 'machines', 'add', 'test', '--auto'])
    const argv = [`${bin}/crowdsec`, '-c', config, '-dsn', `file://${log}`, '-type', 'syslog']
    const said = await must([...alone, 'sh', '-c', '"$@" 2>&1', 'sh', ...argv])
    const performed = (name: string) =>
      new Set([...said.matchAll(new RegExp(`Ip (\\S+) performed 'pkctl/${name}'`, 'g'))].map(([, ip]) => ip))
    assert.deepEqual(performed('refused'), new Set(sourcesOf('verified')), said)
    assert.deepEqual(performed('copy'), new Set(sourcesOf('copies')))
    assert.deepEqual(performed('unverified'), new Set(sourcesOf('unverified')))
  })
})
