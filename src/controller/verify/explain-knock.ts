/**
 * What would become of a knock, by the configuration and the files of keys as they are now: no daemon is asked, and the knock is
 * not used up. What only the daemon and the kernel know is left out: whether it was used before, and how many came.
 */
import type { Config } from '../../config/types.js'
import { addressBytes, parseAddress, protocolUdp } from '../../net/index.js'
import type { GrantAction, ServiceSpec } from '../../nft/index.js'
import type { Packet } from '../../queue/index.js'
import { sourceText } from '../../queue/index.js'
import type { Clock } from '../clock.js'
import { ReplayCache } from '../replay/replay-cache.js'
import { EventCollector } from '../report/event-collector.js'
import type { KnockEvent } from '../report/knock-events.js'
import { knockMessage } from '../report/knock-messages.js'
import type { LogFields } from '../report/log-interface.js'
import { MarkAllocator } from '../ruleset/mark-allocator.js'
import { activeCredentials, grantRequestOf, packetCredential } from './active-credentials.js'
import type { Decision } from './decision.js'
import { KeyWatch } from './key-watch.js'
import type { ReadKeyFile } from './patient-reads.js'
import { partOf } from './requested-part.js'
import type { SignedOutcome } from './signature-job.js'
import { SignatureVerifier } from './signature-verifier.js'
import { KnockVerifier } from './verifier.js'

/** A UDP packet, as it arrives. */
interface GivenKnock {
  readonly payload: Buffer
  /** An address. */
  readonly source: string
  readonly port: number
  /** Unix seconds. */
  readonly time: number
}

interface ExplainedKnock {
  /** As the log would have them: more than one where several credentials open what it asks for. */
  readonly entries: readonly { readonly message: string; readonly fields: LogFields }[]
  /** Files and lines of keys that do not count; one line each. */
  readonly problems: readonly string[]
}

interface KnownHere {
  readonly config: Config
  readonly services: ReadonlyMap<string, ServiceSpec>
  readonly readKeyFile: ReadKeyFile
}

const mostActions = 4096

export async function explainKnock(given: GivenKnock, known: KnownHere): Promise<ExplainedKnock> {
  const { config, services } = known
  const clock: Clock = { now: () => given.time, monotonic: () => 0 }
  const enabled = config.credentials.filter(credential => credential.enabled)
  const active = activeCredentials(enabled, given.time, () => ({ unused: [] })).flatMap(one =>
    one.kind === 'packet' ? [one] : [],
  )
  const { actionOf } = new MarkAllocator(mostActions, () => 0).allocate(active.map(grantRequestOf), services)
  const credentials = active.map((one, i) => packetCredential(one, actionOf[i] as GrantAction))
  const verifier = new KnockVerifier(credentials, ({ skew }) => new ReplayCache({ skew, entries: 1 }), clock)
  const packet = packetOf(given)
  const problems: string[] = []
  const first = verifier.verify(packet)
  const decision =
    first.kind === 'verify' ? verifier.decideSigned(packet, await verified(given, known, clock, problems)) : first
  const grantedBy = (name: string) => actionOf[active.findIndex(({ credential }) => credential.name === name)]?.grants
  const entries = eventsOf(packet, decision, clock).map(event => {
    const { message, fields } = knockMessage(event, partOf(grantedBy(event.credential ?? '') ?? [], event.part))
    return { message, fields }
  })
  return { entries, problems }
}

/** What the thread that verifies signatures would say. */
async function verified(
  { payload, port, source }: GivenKnock,
  { config, readKeyFile }: KnownHere,
  clock: Clock,
  problems: string[],
): Promise<SignedOutcome> {
  const signatures = new SignatureVerifier(clock)
  const say = () => undefined
  const tell = (message: string) => void problems.push(message)
  const keys = new KeyWatch(readKeyFile, () => ({ useKeys: sets => signatures.configure(sets) }), {
    ...{ error: tell, warn: tell, info: say, debug: say },
  })
  await keys.follow(config.credentials.filter(credential => credential.enabled))
  keys.stop()
  return signatures.verify({ id: 1, bytes: new Uint8Array(payload), port, source })
}

function packetOf({ payload, source, port }: GivenKnock): Packet {
  const { version, address } = parseAddress(source)
  const bytes = Buffer.from(addressBytes(address), 'latin1')
  return {
    ...{ id: 0, mark: 0, buffer: Buffer.concat([bytes, payload]), version, addressVersion: version, sourceAt: 0 },
    ...{ protocol: protocolUdp, sourcePort: 0, destinationPort: port, tcpFlags: 0 },
    ...{ payloadAt: bytes.length, payloadLength: payload.length },
  }
}

function eventsOf(packet: Packet, decision: Decision, clock: Clock): KnockEvent[] {
  const collector = new EventCollector(clock, sourceText)
  const decisions = decision.kind === 'grant' ? [decision, ...(decision.more ?? [])] : [decision]
  for (const one of decisions) collector.addDecision(packet, one)
  const events: KnockEvent[] = []
  collector.flush(found => events.push(...found))
  return events
}
