/**
 * Runs made-up knocks through the code of the packet worker when the daemon starts. The JavaScript engine compiles code that has run
 * some hundred times; without this, the first user after a boot waits longer than all others.
 */
import { randomBytes } from 'node:crypto'
import { knockFormats } from '../../config/credentials/credential-types.js'
import type { AskedPort } from '../../knock/index.js'
import { Marks, RecentGrants, steadySeconds } from '../../nft/index.js'
import { answerMadeUp, sourceText } from '../../queue/index.js'
import type { GrantedPorts } from '../verify/requested-part.js'
import type { Clock } from '../clock.js'
import { Counters } from '../report/answer-counters.js'
import { KnockTally } from '../report/knock-tally.js'
import type { PacketCredential } from '../verify/packet-credential.js'
import { PacketHandler } from './packet-handler.js'
import { ReplayCache } from '../replay/replay-cache.js'
import { SequenceVerifier } from '../verify/sequence-verifier.js'
import { KnockVerifier } from '../verify/verifier.js'

/** Knocks of each format, which take some ten milliseconds in all. */
const rounds = 400
const port = 1

/**
 * Everything that the knocks could change is a copy that is thrown away: replay cache, counters, grants. The kernel
 * never sees them. Returns how the knocks were answered.
 */
export function warmUp(credentials: readonly PacketCredential[], mask: number, clock: Clock): Counters {
  const oneOfEachType = new Map(credentials.map(one => [one.type, { ...one, port: null, rate: null }]))
  const marks = new Marks(mask)
  const ignore = () => undefined
  const counters = new Counters()
  const handler = new PacketHandler(
    new KnockVerifier([...oneOfEachType.values()], ({ skew }) => new ReplayCache({ skew, entries: 1e6 }), clock),
    new SequenceVerifier([], clock, ignore),
    {
      marks,
      journal: { append: ignore, commit: ignore },
      counters,
      tally: new KnockTally(),
      clock,
      recent: new RecentGrants(),
      steadySeconds,
      queueLength: 1,
      addressText: sourceText,
      onEvents: ignore,
      onEffects: ignore,
      onTrouble: ignore,
    },
  )
  for (const credential of oneOfEachType.values()) {
    for (const format of knockFormats.of(credential.type)) {
      const secret = format.secretOf(credential.secret)
      const address = format.carriesAddress ? { address: Buffer.from([192, 0, 2, 1]) } : {}
      const asks = { asks: { ports: credential.grants.map(portOf) } }
      for (let i = 0; i < rounds; i++) {
        const time = Math.floor(clock.now())
        const payload = format.encode({ port, time, random: randomBytes, ...address, ...asks }, secret)
        answerMadeUp(payload, port, marks.candidate, handler)
      }
    }
  }
  return counters
}

/** A port of the service, for formats whose packets ask for ports. */
const portOf = ({ protocol, ports: [range] }: GrantedPorts): AskedPort => ({
  protocol: protocol === 'udp' ? 'udp' : 'tcp',
  port: range?.first ?? 1,
})
