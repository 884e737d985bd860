/**
 * Decides on knocks that were made with the secret of a credential: time, replay, rate, and whether the credential grants
 * what they ask for. The replay cache and the rate limiter change only for a knock that is in time and new.
 */
import type { Requested, VerifiedKnock, Wishes } from '../../knock/index.js'
import { addressFromBytes } from '../../net/index.js'
import type { Packet } from '../../queue/index.js'
import type { Clock } from '../clock.js'
import type { ReplayCache } from '../replay/replay-cache.js'
import type { Decision, Refusal } from './decision.js'
import { hasLinkLocalSource } from './link-local-source.js'
import type { PacketCredential } from './packet-credential.js'
import type { Prefixes } from './prefix-list.js'
import { isIn } from './prefix-list.js'
import type { RateLimiter } from './rate-limiter.js'
import { askedPart, partWhileValid } from './requested-part.js'
import type { KnockSigner, SignerRights } from './signature-job.js'
import { rightsOfAll, wishedPart, wishRefusal } from './signed-wishes.js'

/** A credential, with what its knocks change. */
export interface CredentialState {
  readonly credential: PacketCredential
  /** Which addresses may be asked for; null when none may. */
  readonly allowed: Prefixes | null
  readonly cache: ReplayCache
  readonly limiter: RateLimiter | null
}

/** What is said of a verified knock, granted or not. */
interface VerifiedFacts {
  readonly credential: PacketCredential
  readonly knock: VerifiedKnock
  readonly clockDifferenceSeconds: number
  readonly signer?: KnockSigner
}

/** Decides on a knock that was made with the secret. Where it is granted, it is used up. */
export function decideVerified(
  packet: Packet,
  tried: CredentialState,
  verified: VerifiedKnock,
  clock: Clock,
): Decision {
  const { credential } = tried
  const knock = verified.sender ? withRequest(packet, verified, verified.sender) : verified
  const now = Math.floor(clock.now())
  const clockDifferenceSeconds = knock.time - now
  if (knock.wishes) return decideUnsigned(packet, tried, knock, knock.wishes, now, clock)
  const reason = refusalOf(packet, tried, knock, now, clock)
  if (reason !== undefined) return { kind: 'refuse', reason, credential, knock, clockDifferenceSeconds }
  const asked = knock.asks === undefined ? 'all' : askedPart(credential, knock.asks)
  if (asked === undefined)
    return { kind: 'refuse', reason: 'port-not-allowed', credential, knock, clockDifferenceSeconds }
  const part = partWhileValid(credential, asked, knock.until === undefined ? undefined : knock.until - now)
  return { kind: 'grant', credential, knock, clockDifferenceSeconds, ...(part === 'all' ? {} : { part }) }
}

/** The same of a knock with wishes that no user signs. */
function decideUnsigned(
  packet: Packet,
  tried: CredentialState,
  verified: VerifiedKnock,
  wishes: Wishes,
  now: number,
  clock: Clock,
): Decision {
  const { credential } = tried
  const knock = wishes.host ? { ...verified, requested: wishes.host } : verified
  const facts = { credential, knock, clockDifferenceSeconds: knock.time - now }
  const isOpened = (service: string) => credential.grants.some(one => one.service === service)
  if (!wishes.services.every(isOpened)) return { kind: 'refuse', reason: 'service-not-allowed', ...facts }
  return decideWishes(packet, tried, { facts, knock, now }, wishes, rightsOfAll, clock)
}

/** What is granted, of all that is asked for, once the knock itself is verified. */
export function decideWishes(
  packet: Packet,
  tried: CredentialState,
  { facts, knock, now }: { readonly facts: VerifiedFacts; readonly knock: VerifiedKnock; readonly now: number },
  wishes: Wishes,
  rights: SignerRights,
  clock: Clock,
): Decision {
  const { credential, allowed } = tried
  const reason =
    refusalOf(packet, tried, knock, now, clock) ?? wishRefusal(allowed, rights, wishes, packet.version === 6 ? 6 : 4)
  if (reason !== undefined) return { kind: 'refuse', reason, ...facts }
  const part = wishedPart(credential, rights, wishes)
  return {
    ...{ kind: 'grant', ...facts },
    ...(part ? { part } : {}),
    ...askedBeside(credential, wishes),
  }
}

/** Why a verified knock is refused; undefined where it is granted, and remembered. */
function refusalOf(
  packet: Packet,
  tried: CredentialState,
  knock: VerifiedKnock,
  now: number,
  clock: Clock,
): Refusal | undefined {
  const { credential, cache, limiter, allowed } = tried
  const { time, digestAt, requested } = knock
  const { buffer } = packet
  if (credential.skew >= 0 && Math.abs(time - now) > credential.skew) return 'skewed'
  const answer = cache.check(buffer, digestAt, time, now)
  if (answer !== 'new') return answer === 'full' ? 'memory-full' : answer
  cache.remember(buffer, digestAt, time)
  const version = packet.version === 6 ? 6 : 4
  if (limiter?.take(version, buffer, packet.sourceAt, clock.monotonic()) === false) return 'rate-limited'
  if (knock.refused !== undefined) return knock.refused
  if (knock.until !== undefined && now >= knock.until) return 'expired'
  if (requested === undefined) return credential.linkLocal || !hasLinkLocalSource(packet) ? undefined : 'link-local'
  return requested && allowed && isIn(allowed, requested) ? undefined : 'address-not-allowed'
}

/** What is asked for beside services and a time. */
export const askedBeside = ({ revokes }: PacketCredential, { prefix, other, close }: Wishes) => ({
  ...(prefix !== null && !close && !revokes ? { prefix } : {}),
  ...(other && !close && !revokes ? { also: other } : {}),
  ...(close && !revokes ? ({ closes: true } as const) : {}),
})

/** A packet that comes from its sender's address asks for no other one. */
function withRequest({ version, buffer, sourceAt }: Packet, knock: VerifiedKnock, sender: Requested): VerifiedKnock {
  const isSource = version === sender.version && addressFromBytes(buffer, sourceAt, version) === sender.address
  return isSource ? knock : { ...knock, requested: sender }
}
