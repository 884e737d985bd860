/** How a server of a fleet sees it, for people. */
import { fleetWarnings } from '../../fleet/warnings.js'
import type { ClaimStatus, FleetStatus } from '../../fleet/index.js'
import { count, durationText, oneLine } from '../../util/index.js'

const names = (services: readonly string[]) => services.join(', ') || 'nothing'
const ago = (milliseconds: number) => durationText(Math.max(0, Math.round(milliseconds / 1000)))

/** One line for `pkctl status`. */
export function fleetLine({ group, node, engine, because, nodes, foreignGrants }: FleetStatus): string {
  const state =
    engine === 'connected' ? 'connected' : `the engine is away${because === '' ? '' : `: ${oneLine(because)}`}`
  return `fleet ${group}, as ${node}: ${state}; ${count(nodes.length, 'other server')}, ${count(foreignGrants, 'grant')} of theirs`
}

/** Of knocks with `once: group`. */
function claimsText({ waiting, results, medianMilliseconds, longestMilliseconds }: ClaimStatus): string {
  const { first, claimed, ...refused } = results
  const others = Object.entries(refused).flatMap(([reason, times]) => (times > 0 ? [`${times} ${reason}`] : []))
  const counts = [`${first} first here`, `${claimed} claimed elsewhere or before`, ...others, `${waiting} waiting`]
  const times =
    medianMilliseconds === null ? [] : [`median ${medianMilliseconds} ms, longest ${longestMilliseconds} ms`]
  return [counts.join(', '), ...times].join('; ')
}

export function fleetLines(status: FleetStatus, now: number): string[] {
  const { group, node, engine, because, since, share, accept, nodes, refused, waiting, dropped, claims } = status
  const reasons = Object.entries(refused).map(([reason, times]) => `${times} ${reason}`)
  const why = because === '' ? '' : `: ${oneLine(because)}`
  return [
    `fleet ${group}, as ${node}`,
    `  engine: ${engine}, for ${ago(now - since)}${why}`,
    `  shares ${names(share)}; accepts ${names(accept)}`,
    `  grants: ${status.ownGrants} of this server, ${status.foreignGrants} of others`,
    `  messages: ${status.sent} sent, ${status.received} read, ${waiting} waiting${dropped > 0 ? `, ${dropped} given up` : ''}`,
    ...(claims ? [`  claims: ${claimsText(claims)}`] : []),
    ...(reasons.length > 0 ? [`  refused: ${reasons.join(', ')}`] : []),
    ...nodes.map(one => {
      const { hello, heardAt, lag, clockDifference } = one
      const clock = clockDifference === null ? 'clock unknown' : `clock ${(clockDifference / 1000).toFixed(3)} s`
      const said = hello ? `, ${hello.version}, shares ${names(hello.share)}, accepts ${names(hello.accept)}` : ''
      return `  ${one.node}: heard ${ago(now - heardAt)} ago, lag ${lag ?? '?'} ms, ${clock}${said}`
    }),
    ...fleetWarnings(status, now).map(({ message }) => `  warning: ${oneLine(message)}`),
  ]
}
