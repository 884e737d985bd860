/**
 * The floods against pkctl's own knock: what is forged of the knock of a device with a symmetric key, and of one that an SSH key
 * signs, and one good knock a second of that kind.
 */
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import { formatIdentity, parseIdentity } from '../../src/knock/index.js'
import { plainRequest } from '../../src/knock/pk1/request.js'
import { certificatePacketLength, draftSigned, keyPacketLength } from '../../src/knock/pk1/signed.js'
import { sealSymmetric } from '../../src/knock/pk1/symmetric.js'
import { parsePublicKey } from '../../src/knock/openssh/index.js'
import { knockPort } from '../support/knocks.js'
import { testKey } from '../unit/knock/openssh/sshsig.js'
import type { Try } from './client.js'
import type { Flood } from './flood.js'
import { underFlood } from './flood.js'
import type { Row } from './report.js'
import { progress } from './report.js'
import type { Storm } from './sender.js'
import { servicePort, Site, Usage } from './site.js'

export async function ownFloodPart(): Promise<Row[]> {
  const site = await Site.create()
  try {
    const state = path.join(site.lab.directory, 'state')
    const printed = await site.lab.mustPkctl('keygen', '--server', '--state-directory', state)
    const server = parseIdentity(printed.trim())
    if (!server) throw new Error(`no identity: ${printed}`)
    const identity = formatIdentity(server)
    const key = randomBytes(32)
    const user = testKey('ssh-ed25519')
    const { fingerprint } = parsePublicKey(user.blob)
    const oneOf = (packet: Buffer | undefined): Try['knock'] => [
      { port: knockPort, hex: packet?.toString('hex') ?? '' },
    ]
    const symmetric = () =>
      oneOf(sealSymmetric(plainRequest(BigInt(Date.now())), knockPort, randomBytes(16), { identity: server, key }))
    const signed = () => {
      const draft = draftSigned(plainRequest(BigInt(Date.now())), { fingerprint }, server, knockPort, randomBytes)
      return oneOf(draft?.seal(user.sign(draft.message).signature))
    }
    const flood = (name: string, kind: Storm['kind'], sources: Storm['sources'], count: number, length?: number) => ({
      flood: { name, storm: { kind, sources, count, identity, ...(length !== undefined && { length }) } } as Flood,
      knock: length === undefined ? symmetric : signed,
    })
    const ownFloods = [
      { flood: { name: "no flood, pkctl's own knock", storm: null }, knock: symmetric },
      flood('the length of an own knock, forged sources', 'own-length', 'many', 250_000),
      flood('the prefix of this minute, one source', 'own-prefix', 'one', 250_000),
      flood('the prefix of this minute, forged sources', 'own-prefix', 'many', 500_000),
      flood('made with the identity, one source', 'own-identity', 'one', 50_000),
      flood('made with the identity, forged sources', 'own-identity', 'many', 100_000),
      { flood: { name: 'no flood, signed by an SSH key', storm: null }, knock: signed },
      ...[keyPacketLength, certificatePacketLength].flatMap(length => [
        flood(`${length} bytes without the prefix, forged sources`, 'own-length', 'many', 100_000, length),
        flood(`${length} bytes with the prefix of this minute, one source`, 'own-prefix', 'one', 50_000, length),
        flood(`${length} bytes with the prefix of this minute, forged sources`, 'own-prefix', 'many', 100_000, length),
        flood(`${length} bytes, rubbish behind a right check, one source`, 'own-identity', 'one', 20_000, length),
        flood(`${length} bytes, rubbish behind a right check, forged sources`, 'own-identity', 'many', 50_000, length),
      ]),
    ]
    site.lab.file('keys', `${user.line}\n`, 0o644)
    await site.lab.serve(servicePort)
    const usage = Usage.of(
      await site.daemon(
        [
          `services: { ssh: { port: ${servicePort}, window: 60 } }`,
          'credentials:',
          `  bench: { type: symmetric, key: "0x${key.toString('hex')}", opens: [ssh], skew: 60, rate: none }`,
          '  staff: { type: ssh, authorized-keys: keys, opens: [ssh], skew: 60, rate: none }',
        ].join('\n'),
      ),
    )
    const rows: Row[] = []
    for (const [i, { flood: one, knock }] of ownFloods.entries()) {
      progress(`own-flood: ${one.name}`)
      rows.push(await underFlood(site, usage, one, i * 100, knock))
    }
    return rows
  } finally {
    await site.lab.remove()
  }
}
