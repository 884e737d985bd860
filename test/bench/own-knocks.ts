/** What a knock of each kind costs, with one user and with very many: alone, as the first one after a start, and in a burst. */
import { createHash, randomBytes } from 'node:crypto'
import path from 'node:path'
import { fwknop } from '../../src/knock/fwknop/fwknop-format.js'
import { parseIdentity } from '../../src/knock/index.js'
import { sshString } from '../../src/knock/openssh/index.js'
import { plainRequest } from '../../src/knock/pk1/request.js'
import { sealSymmetric } from '../../src/knock/pk1/symmetric.js'
import { knockHex, knockPort } from '../support/knocks.js'
import { server4 } from '../support/lab.js'
import { OpenSsh } from '../support/openssh.js'
import { signedKnock } from '../support/signed-knocks.js'
import { ownSource } from './addresses.js'
import type { Try, TryResult } from './client.js'
import type { Row } from './report.js'
import { grouped, latency, median, megabytes, progress } from './report.js'
import { servicePort, Site, Usage } from './site.js'

const alone = 200
/** No more than are verified at once. */
const burst = 50
const manyUsers = 100_000
/** Each is a credential of its own, and pkctld starts late with more of them. */
const manyDevices = 1000
const manyTagged = 1000
const key = randomBytes(32)

interface Kind {
  readonly what: string
  readonly credential: string
  /** Credentials before it. */
  readonly others?: () => string[]
  /** Lines of the file of keys. */
  readonly keys?: (openssh: OpenSsh) => string
  readonly knock: (parts: Server) => Promise<string> | string
}

interface Server {
  readonly identity: Buffer
  readonly openssh: OpenSsh
}

const ssh = 'type: ssh, authorized-keys: keys'
const pub = (openssh: OpenSsh) => `${openssh.read('user.pub').trim()}\n`
const signed = async ({ identity, openssh }: Server) =>
  (await signedKnock({ key: openssh.path('user'), identity })).toString('hex')

const fwknopSecret = fwknop.secretOf({
  ...{ key: Buffer.from('bench-key'), hmacKey: Buffer.from('bench-hmac-key'), hmac: 'sha256', user: null },
  ...{ requireSourceAddress: false, expires: null, maxWindow: 300 },
})

const kinds: readonly Kind[] = [
  { what: 'PKD', credential: 'type: pkd, tag: SSHK, key: test', knock: () => knockHex() },
  {
    what: 'symmetric',
    credential: `type: symmetric, key: "0x${key.toString('hex')}"`,
    knock: ({ identity }) =>
      sealSymmetric(plainRequest(BigInt(Date.now())), knockPort, randomBytes(16), { identity, key })?.toString('hex') ??
      '',
  },
  {
    what: `symmetric, ${grouped(manyDevices)} devices`,
    credential: `type: symmetric, key: "0x${key.toString('hex')}"`,
    others: () => others(manyDevices - 1, one => `type: symmetric, key: "0x${one}"`),
    knock: ({ identity }) =>
      sealSymmetric(plainRequest(BigInt(Date.now())), knockPort, randomBytes(16), { identity, key })?.toString('hex') ??
      '',
  },
  {
    what: `PKD, the last of ${grouped(manyTagged)} credentials with one tag`,
    credential: 'type: pkd, tag: SSHK, key: test',
    others: () => others(manyTagged - 1, one => `type: pkd, tag: SSHK, key: "0x${one.slice(0, 64)}"`),
    knock: () => knockHex(),
  },
  {
    what: 'fwknop',
    credential: `type: fwknop, port: ${knockPort}, key: bench-key, hmac-key: bench-hmac-key`,
    knock: () => encodeFwknop(),
  },
  { what: 'SSH key, 1 user', credential: ssh, keys: pub, knock: signed },
  {
    what: `SSH key, ${grouped(manyUsers)} users`,
    credential: ssh,
    keys: openssh => otherUsers(manyUsers - 1) + pub(openssh),
    knock: signed,
  },
  {
    what: 'certificate',
    credential: 'type: ssh, ca-keys: keys, principals: [bench]',
    keys: openssh => openssh.read('ca.pub'),
    knock: async ({ identity, openssh }) => {
      const certificate = openssh.path('user-cert.pub')
      return (await signedKnock({ key: openssh.path('user'), identity, certificate })).toString('hex')
    },
  },
]

function encodeFwknop(): string {
  const knock = { time: Math.floor(Date.now() / 1000), random: randomBytes, port: knockPort }
  return fwknop.encode(knock, fwknopSecret).toString('hex')
}

const others = (count: number, options: (key: string) => string) =>
  Array.from({ length: count }, (_, i) => options(createHash('sha256').update(`other ${i}`).digest('hex')))

function otherUsers(count: number): string {
  const line = (_: unknown, i: number) => {
    const point = createHash('sha256').update(String(i)).digest()
    const blob = Buffer.concat([sshString('ssh-ed25519'), sshString(point)])
    return `ssh-ed25519 ${blob.toString('base64')} user${i}\n`
  }
  return Array.from({ length: count }, line).join('')
}

/** How many fit into one argument of the client, which has 128 KiB at most. */
const atOnce = (tries: readonly Try[]) => Math.floor(120_000 / (JSON.stringify(tries).length / tries.length))

export async function ownKnocksPart(): Promise<Row[]> {
  const openssh = new OpenSsh()
  try {
    openssh.key('user', '-t', 'ed25519')
    openssh.key('ca', '-t', 'ed25519')
    openssh.certificate('ca', 'user', '-n', 'bench')
    const rows: Row[] = []
    for (const kind of kinds) {
      progress(`own-knocks: ${kind.what}`)
      rows.push(await measure(kind, openssh))
    }
    return rows
  } finally {
    openssh.remove()
  }
}

async function measure({ what, credential, others = () => [], keys, knock }: Kind, openssh: OpenSsh): Promise<Row> {
  const site = await Site.create()
  try {
    await site.lab.serve(servicePort)
    const state = path.join(site.lab.directory, 'state')
    const printed = await site.lab.mustPkctl('keygen', '--server', '--state-directory', state)
    const identity = parseIdentity(printed.trim())
    if (!identity) throw new Error(`no identity: ${printed}`)
    if (keys) site.lab.file('keys', keys(openssh), 0o644)
    const daemon = await site.daemon(
      [
        // Bursts of one source are what is measured.
        'limits: { per-source: 1000000, excess: 1000000 }',
        `services: { ssh: { port: ${servicePort}, window: 60 } }`,
        'credentials:',
        ...[...others(), credential].map(
          (options, i) =>
            `  bench-${i}: { ${options}, opens: [ssh], rate: none${options.includes('fwknop') ? '' : ', skew: 60'} }`,
        ),
      ].join('\n'),
    )
    const server = { identity, openssh }
    const packets = (count: number) =>
      Promise.all(Array.from({ length: count }, async () => ({ port: knockPort, hex: await knock(server) })))
    const tryOf = (datagrams: { port: number; hex: string }[], source: number) => ({
      host: server4,
      source: ownSource(4, source),
      port: servicePort,
      knock: datagrams,
    })
    const tries: ReturnType<typeof tryOf>[] = []
    for (let i = 0; i < alone; i++) tries.push(tryOf(await packets(1), i))
    const usage = Usage.of(daemon)
    const before = usage.cpuSeconds
    const results: TryResult[] = []
    for (let at = 0; at < alone; at += atOnce(tries)) {
      const some = tries.slice(at, at + atOnce(tries))
      results.push(...(await site.tries({ tries: some, delay: 0, every: 5, patience: 3000 })))
    }
    const microseconds = ((usage.cpuSeconds - before) / alone) * 1e6
    const [first = NaN, ...rest] = results.map(({ milliseconds }) => milliseconds)
    const last = rest.at(-1) ?? NaN
    const many: { port: number; hex: string }[] = []
    for (let i = 0; i < burst; i++) many.push(...(await packets(1)))
    const bursting = usage.cpuSeconds
    const [whole] = await site.tries({ tries: [tryOf(many, alone)], delay: 0, every: 0, patience: 10_000 })
    const each = ((usage.cpuSeconds - bursting) / burst) * 1e6
    const rate = burst / ((whole?.milliseconds ?? NaN) / 1000)
    const prompt = results.filter(({ open, repeated }) => open && repeated === 0).length
    return {
      what: `knock by ${what}`,
      figure: `first ${first.toFixed(1)} ms, ${alone}th ${last.toFixed(1)} ms, ${latency(rest)}; ${grouped(rate)}/s in a burst`,
      how: `knock, then connect with no pause: ${prompt} of ${alone} without a repeated SYN; ${microseconds.toFixed(0)} µs of the daemon's processor time each, with the log and reading the grant back; ${each.toFixed(0)} µs in the burst of ${burst}; daemon ${megabytes(usage.residentBytes)}`,
      values: { first, rest, median: median(rest), rate, microseconds, burstMicroseconds: each, atOnce: prompt },
    }
  } finally {
    await site.lab.remove()
  }
}
