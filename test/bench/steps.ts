/** What sequences cost: memory for those who are in the middle of one, and time for those who do not knock. */
import path from 'node:path'
import { dist, must } from '../support/commands.js'
import type { Lab } from '../support/lab.js'
import type { Variant } from './connections.js'
import { compare } from './connections.js'
import type { Row } from './report.js'
import { grouped, progress } from './report.js'

const config = (lab: Lab, credential: string) =>
  lab.config(`services: { guarded: { port: 22 } }\ncredentials:\n  bench: { ${credential}, opens: [guarded] }`)

const withSequences = (credential: string) => async (lab: Lab) => {
  await lab.daemon(config(lab, credential))
  return undefined
}

/** The chains that are needed where nft has its own `queue`. Whoever does not knock meets no more of it than these. */
const withoutFallback = (credential: string) => async (lab: Lab) => {
  const daemon = await lab.daemon(config(lab, credential))
  // It would put back what is deleted now; its rules stay without it.
  await daemon.stop('SIGKILL')
  for (const family of ['ip', 'ip6']) await lab.on(['nft', 'delete', 'table', family, 'mangle'])
  return "without the two chains of iptables-nft, as with nft's own statement"
}

const baseline = 'the same port without any rule'
const rotating = 'type: rotating, open-secret: x, close-secret: y, digest: sha512, range: 1-65535'
const variants: readonly Variant[] = [
  { name: baseline, prepare: () => Promise.resolve(undefined) },
  { name: `${baseline}, another time`, prepare: () => Promise.resolve(undefined) },
  {
    name: 'a port in the range of a rotating sequence of 32',
    prepare: withSequences(rotating),
  },
  {
    name: 'such a port, where nft has its own queue statement',
    prepare: withoutFallback(rotating),
  },
  {
    name: 'a fixed sequence of other ports',
    prepare: withSequences('type: sequence, sequence: [7000, 9000, 8001]'),
  },
]

export async function stepsPart(): Promise<Row[]> {
  return [await memoryRow(), ...(await compare(variants, baseline))]
}

async function memoryRow(): Promise<Row> {
  progress('steps: memory')
  const text = await must([process.execPath, '--expose-gc', path.join(dist, 'test/bench/stepmemory.js')])
  const { sources, bytes } = JSON.parse(text) as { sources: number; bytes: number }
  const perMegabyte = sources / (bytes / 1e6)
  return {
    what: 'sources in mid-sequence',
    figure: `${grouped(perMegabyte)} for each MB`,
    how: `${grouped(sources)} sources, half of them by IPv6, each with two of three knocks made, take ${(bytes / 1e6).toFixed(1)} MB of the heap; more are forgotten, the most silent first`,
    values: { sources, bytes, perMegabyte },
  }
}
