/** The floods against pkctl's own knock, of a device with a symmetric key: what is forged of it, and one good knock a second. */
import { randomBytes } from 'node:crypto'
import { formatIdentity, newServerKey } from '../../src/knock/index.js'
import { plainRequest } from '../../src/knock/pk1/request.js'
import { sealSymmetric } from '../../src/knock/pk1/symmetric.js'
import { knockPort } from '../support/knocks.js'
import type { Try } from './client.js'
import type { Flood } from './flood.js'
import { underFlood } from './flood.js'
import type { Row } from './report.js'
import { progress } from './report.js'
import type { Storm } from './sender.js'
import { servicePort, Site, Usage } from './site.js'

export async function ownFloodPart(): Promise<Row[]> {
  const site = await Site.create()
  const server = newServerKey(randomBytes)
  const identity = formatIdentity(server.identity)
  const key = randomBytes(32)
  const knock = (): Try['knock'] => {
    const request = plainRequest(BigInt(Date.now()))
    const packet = sealSymmetric(request, knockPort, randomBytes(16), { identity: server.identity, key })
    return [{ port: knockPort, hex: packet?.toString('hex') ?? '' }]
  }
  const flood = (name: string, kind: Storm['kind'], sources: Storm['sources'], count: number): Flood => ({
    name,
    storm: { kind, sources, count, identity },
  })
  const ownFloods = [
    { name: "no flood, pkctl's own knock", storm: null },
    flood('the length of an own knock, forged sources', 'own-length', 'many', 250_000),
    flood('the prefix of this minute, one source', 'own-prefix', 'one', 250_000),
    flood('the prefix of this minute, forged sources', 'own-prefix', 'many', 500_000),
    flood('made with the identity, one source', 'own-identity', 'one', 50_000),
    flood('made with the identity, forged sources', 'own-identity', 'many', 100_000),
  ]
  try {
    await site.lab.serve(servicePort)
    const usage = Usage.of(
      await site.daemon(
        [
          `services: { ssh: { port: ${servicePort}, window: 60 } }`,
          'credentials:',
          `  bench: { type: symmetric, identity: "${identity}", key: "0x${key.toString('hex')}", opens: [ssh], skew: 60, rate: none }`,
        ].join('\n'),
      ),
    )
    const rows: Row[] = []
    for (const [i, one] of ownFloods.entries()) {
      progress(`own-flood: ${one.name}`)
      rows.push(await underFlood(site, usage, one, i * 100, knock))
    }
    return rows
  } finally {
    await site.lab.remove()
  }
}
