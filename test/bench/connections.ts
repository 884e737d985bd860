/** What a guarded port costs those who may use it: new connections, against no firewall and the least one can have. */
import path from 'node:path'
import { must, root } from '../support/commands.js'
import { client4, Lab, server4 } from '../support/lab.js'
import { addressText, forgedBase } from './addresses.js'
import type { Row } from './report.js'
import { grouped, median, percent, progress, spread } from './report.js'

export const port = 8080
const rounds = 15
const cpuSeconds = 0.3

export interface Variant {
  readonly name: string
  /** Resolves to what must be said of it. */
  readonly prepare: (lab: Lab) => Promise<string | undefined>
}

const others = (count: number) => Array.from({ length: count }, (_, i) => addressText(forgedBase + i))
const elements = (grants: number) => [client4, ...others(grants - 1)].map(one => `${one} timeout 1h`).join(', ')
async function load(lab: Lab, rules: string): Promise<undefined> {
  await must(['ip', 'netns', 'exec', lab.server, 'nft', '-f', lab.file('rules.nft', rules)])
}

/** The least that lets in who is in a set and nobody else. */
export const barest = (lab: Lab, grants = 1): Promise<undefined> =>
  load(
    lab,
    `table inet barest {
      set s { type ipv4_addr; size 1048576; flags timeout; elements = { ${elements(grants)} }; }
      chain c {
        type filter hook input priority -140;
        tcp dport ${port} tcp flags & (syn | ack) == syn ip saddr @s accept
        tcp dport ${port} tcp flags & (syn | ack) == syn drop
      }
    }`,
  )

const ruleForEach = (count: number) => (lab: Lab) =>
  load(
    lab,
    `table inet rules {
      chain c {
        type filter hook input priority -140;
        ${[...others(count - 1), client4].map(one => `ip saddr ${one} tcp dport ${port} accept`).join('\n')}
        tcp dport ${port} tcp flags & (syn | ack) == syn drop
      }
    }`,
  )

/** The rules that knockd and fwknopd leave to those who have access, in the words of iptables. */
export const iptablesRules = (count: number) => async (lab: Lab) => {
  const isStart = `-p tcp --dport ${port} --syn`
  const accept = [...others(count - 1), client4].map(one => `-A INPUT -s ${one} ${isStart} -j ACCEPT`)
  const rules = ['*filter', ...accept, `-A INPUT ${isStart} -j DROP`, 'COMMIT', ''].join('\n')
  await must(['ip', 'netns', 'exec', lab.server, 'iptables-restore', lab.file('iptables.rules', rules)])
  return 'the grant that is used is the last rule'
}

const grant = (lab: Lab, count: number) => load(lab, `add element inet pkctl pk-web-4 { ${elements(count)} }`)

async function withoutDaemon(lab: Lab): Promise<undefined> {
  await lab.mustPkctl('init', 'web', '--port', String(port), '--syn')
  await grant(lab, 1)
}

export const withDaemon = (grants: number) => async (lab: Lab) => {
  const credential = '{ type: pkd, tag: SSHK, key: test, opens: [web] }'
  const config = `services: { web: { port: ${port}, window: 3600 } }\ncredentials: { bench: ${credential} }`
  const { output } = await lab.daemon(lab.config(config))
  await grant(lab, grants)
  const way = output.includes('iptables-nft') ? "iptables-nft's rule, in two more chains," : "nft's own statement"
  return `its chains for knocks are in place, with ${way} for the queue`
}

/** What all others are measured by, and once more, which tells the noise. */
const barestName = 'the barest ruleset'
const variants: readonly Variant[] = [
  { name: barestName, prepare: lab => barest(lab) },
  { name: 'the barest ruleset, another time', prepare: lab => barest(lab) },
  { name: 'no firewall', prepare: () => Promise.resolve(undefined) },
  { name: 'pkctl without its daemon, 1 grant', prepare: withoutDaemon },
  ...[1, 10_000, 100_000].map(grants => ({
    name: `pkctl with its daemon, ${grouped(grants)} ${grants === 1 ? 'grant' : 'grants'}`,
    prepare: withDaemon(grants),
  })),
  { name: 'a chain of 10,000 rules', prepare: ruleForEach(10_000) },
]

export const connectionsPart = (): Promise<Row[]> => compare(variants, barestName)

/** New connections in each variant, and how they compare to one of them. */
export async function compare(variants: readonly Variant[], baseline: string): Promise<Row[]> {
  const labs = new Map<string, Lab>()
  const all = new Map<string, Connections[]>(variants.map(({ name }) => [name, []]))
  const notes = new Map<string, string | undefined>()
  try {
    for (const { name, prepare } of variants) {
      progress(`connections: ${name}`)
      const lab = await Lab.create()
      labs.set(name, lab)
      notes.set(name, await prepare(lab))
    }
    for (let round = 0; round < rounds; round++) {
      progress(`connections, round ${round + 1} of ${rounds}`)
      for (const [name, lab] of labs) all.get(name)?.push(await connections(lab))
    }
  } finally {
    for (const lab of labs.values()) await lab.remove()
  }
  const ofBaseline = all.get(baseline) ?? []
  return [...all].map(([name, some]) => row(name, some, { name: baseline, all: ofBaseline }, notes.get(name)))
}

interface Connections {
  /** For each second of processor time. */
  readonly rate: number
  /** The median time of one. */
  readonly microseconds: number
}

async function connections(lab: Lab): Promise<Connections> {
  const program = path.join(root, 'test/bench/connections.pl')
  const argv = ['taskset', '-c', '0', 'perl', program, lab.client, server4, String(port), String(cpuSeconds)]
  const { status, stdout, stderr } = await lab.on(argv)
  if (status !== 0) throw new Error(`connections: ${stderr}`)
  const [, rate = NaN, microseconds = NaN] = stdout.split(' ').map(Number)
  return { rate, microseconds }
}

function row(
  name: string,
  all: readonly Connections[],
  baseline: { readonly name: string; readonly all: readonly Connections[] },
  note?: string,
): Row {
  const rates = all.map(({ rate }) => rate)
  const ratios = all.map(({ rate }, i) => rate / (baseline.all[i]?.rate ?? NaN))
  const times = all.map(({ microseconds }) => microseconds)
  const microseconds = median(times)
  const more = median(all.map((one, i) => one.microseconds - (baseline.all[i]?.microseconds ?? NaN)))
  return {
    what: `new connections: ${name}`,
    figure: `median ${microseconds.toFixed(2)} µs each (${more < 0 ? '' : '+'}${more.toFixed(2)} µs to ${baseline.name}); ${grouped(median(rates))}/s, ratio ${median(ratios).toFixed(3)}`,
    how: `time from connect to accept; rate for each second of one processor, both ends and no other work; ${rates.length} rounds in turn; spread of the time ${percent(spread(times))}, of the rate ${percent(spread(rates))}, of the ratio ${percent(spread(ratios))}${note === undefined ? '' : `; ${note}`}`,
    values: { rates, ratios, times, microseconds, microsecondsMore: more },
    bar: {
      panel: 'A new connection through the port (median, µs)',
      name,
      value: microseconds,
      label: `${microseconds.toFixed(2)} µs`,
    },
  }
}
