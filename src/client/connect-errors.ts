/** Texts about connections that fail after a knock. */
import type { KnockKind } from './knock-method.js'
import type { Address } from './send.js'

/** The hint when a port stays closed after a knock, by what the connections to it met. */
export function closedHint(why: string, kind: KnockKind): string {
  if (/\bE(HOST|NET)UNREACH\b/.test(why)) {
    return 'there is no route to it, or a router or firewall on the way refuses; then no knock arrives either'
  }
  const other = why.includes(' refuses') ? 'no program listens at the port' : 'a firewall on the way'
  return `${causes[kind]}, or ${other}; ${places[kind]}`
}

const clock = 'a clock that differs (the server does not tell its time)'

const causes: Readonly<Record<KnockKind, string>> = {
  pkd: `wrong tag, key or port of the knock, or ${clock}`,
  symmetric: `wrong key, identity or port of the knock, or ${clock}`,
  signed: `wrong identity of the server or port of the knock, an SSH key that it does not know or that is revoked, or ${clock}`,
  sequence:
    'wrong ports or order of the sequence, steps that took too long or arrived out of order (--delay), ' +
    'TCP flags that the server does not expect, or for a rotating sequence a wrong secret or clock',
}

const log = 'the log of pkctld at level debug tells'
const otherMinutes = `${log}, and pkctl status on the server counts knocks of another minute, which are not in it`

const places: Readonly<Record<KnockKind, string>> = {
  pkd: `${log}, and pkctl status on the server counts knocks with another tag, which are not in it`,
  symmetric: otherMinutes,
  signed: otherMinutes,
  sequence: log,
}

/** Why a connection to the address failed. */
export const connectErrorText = ({ address }: Address, { code, message }: NodeJS.ErrnoException): string =>
  code === 'ECONNREFUSED' ? `${address} refuses` : message

export const noAnswerText = ({ address }: Address): string => `no answer from ${address}`

export const elapsedText = (start: bigint): string => `${(Number(process.hrtime.bigint() - start) / 1e6).toFixed(1)} ms`
