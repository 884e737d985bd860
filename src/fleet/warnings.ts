/** What is wrong with a fleet, as one of its servers sees it: for people, one sentence each. */
import type { ClaimStatus } from './claim.js'
import type { FleetStatus } from './fleet-status.js'
import type { Hello } from './hello.js'
import type { MessageRefusal } from './message.js'

export interface FleetWarning {
  readonly kind: 'engine' | 'key' | 'version' | 'clock' | 'name' | 'missing' | 'silent' | 'claims' | 'differs'
  readonly message: string
}

/** Clocks that differ by more change how long grants run, and which word is the last one. */
const clockMilliseconds = 2000
/** Each says hello every 5 s. */
const silentMilliseconds = 30_000

/** A claim is given up after a second. */
const slowClaimMilliseconds = 250
/** Grants that have just been made are not known everywhere, and those that end are not forgotten at the same moment. */
const differsMilliseconds = 30_000

const byOthers: Partial<Record<MessageRefusal, string>> = {
  foreign: 'were made with another key, or changed on the way',
  group: 'have the key of this fleet and are of another group: give each fleet a key of its own',
  version: 'are of another version of pkctl',
  future: 'come from a clock that is more than 30 s ahead',
  overlong: "grant more than 'longest-window' of this server allows",
}

/** `now` in Unix milliseconds. */
export function fleetWarnings(status: FleetStatus, now: number): FleetWarning[] {
  const { engine, because, nodes, refused, nameTaken, node } = status
  const warnings: FleetWarning[] = []
  const warn = (kind: FleetWarning['kind'], message: string) => void warnings.push({ kind, message })
  if (engine !== 'connected') {
    const why = because === '' ? '' : `: ${because}`
    warn('engine', `the engine of the fleet is away, and other servers do not hear of knocks here${why}`)
  }
  if (nameTaken) warn('name', `another server of the fleet has the name ${node}, too`)
  for (const [reason, what] of Object.entries(byOthers)) {
    const count = refused[reason as MessageRefusal]
    if (count === undefined) continue
    const kind = reason === 'version' ? 'version' : reason === 'future' ? 'clock' : 'key'
    warn(kind, `${count} messages in the engine of the fleet were refused, because they ${what}`)
  }
  for (const { node: other, clockDifference, missing, heardAt, hello, differsSince } of nodes) {
    const seconds = Math.round(Math.abs(clockDifference ?? 0) / 100) / 10
    if (seconds * 1000 > clockMilliseconds) {
      const where = (clockDifference ?? 0) > 0 ? 'ahead of' : 'behind'
      warn('clock', `the clock of ${other} is ${seconds} s ${where} that of this server`)
    }
    if (missing > 0) warn('missing', `${missing} messages of ${other} have not come`)
    if (engine === 'connected' && now - heardAt > silentMilliseconds) {
      warn('silent', `nothing was heard of ${other} for ${Math.round((now - heardAt) / 1000)} s`)
    }
    if (hello) for (const message of differences(other, hello, status.own)) warn('differs', message)
    if (hello && differsSince !== null && now - differsSince > differsMilliseconds) {
      const grants = `knows of ${hello.grants} grants, and this server of ${status.own.grants}`
      warn('differs', `${other} ${grants}, although both share and accept the same services`)
    }
    if (hello && hello.version !== status.version)
      warn('version', `${other} runs pkctl ${hello.version}, and this server ${status.version}`)
  }
  if (status.claims) for (const message of claimWarnings(status.claims)) warn('claims', message)
  return warnings
}

/** What must be the same on all servers. */
function differences(node: string, hello: Hello, own: Hello): string[] {
  const found: string[] = []
  if (hello.window !== null && hello.window !== own.window)
    found.push(`${node} has a 'longest-window' of ${hello.window} s, and this server one of ${own.window} s`)
  for (const [service, bits] of Object.entries(hello.prefixes)) {
    const here = own.prefixes[service]
    if (here !== undefined && here !== bits)
      found.push(`${node} grants ${service} to prefixes of ${bits} bits (IPv4/IPv6), and this server to ${here}`)
  }
  return found
}

function claimWarnings({ results, medianMilliseconds }: ClaimStatus): string[] {
  const reasons = [
    [results['fleet-away'], 'the engine could not be asked'],
    [results['fleet-late'], 'it did not answer in time'],
    [results['fleet-unsure'], 'it may have forgotten claims'],
  ].filter(([times]) => times !== 0)
  const found: string[] = []
  if (reasons.length > 0) {
    const text = reasons.map(([times, why]) => `${times} because ${why}`).join(', ')
    found.push(`knocks with 'once: group' were refused: ${text}`)
  }
  if (medianMilliseconds !== null && medianMilliseconds > slowClaimMilliseconds)
    found.push(`a claim of a knock takes ${Math.round(medianMilliseconds)} ms, and is given up after 1000 ms`)
  return found
}
