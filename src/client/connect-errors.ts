/** Texts about connections that fail after a knock. */
import type { Address } from './send.js'

/** The hint when a port stays closed after a knock, by what the connections to it met. */
export function closedHint(why: string): string {
  if (/\bE(HOST|NET)UNREACH\b/.test(why)) {
    return 'there is no route to it, or a router or firewall on the way refuses; then no knock arrives either'
  }
  const knock = 'wrong tag, key or port of the knock, or a clock that differs (the server does not tell its time)'
  return why.includes(' refuses')
    ? `${knock}, or no program listens at the port; the log of pkctld at level debug tells`
    : `${knock}, or a firewall on the way; the log of pkctld at level debug has a line of each knock but those with another tag, which the kernel drops`
}

/** Why a connection to the address failed. */
export const connectErrorText = ({ address }: Address, { code, message }: NodeJS.ErrnoException): string =>
  code === 'ECONNREFUSED' ? `${address} refuses` : message

export const noAnswerText = ({ address }: Address): string => `no answer from ${address}`

export const elapsedText = (start: bigint): string => `${(Number(process.hrtime.bigint() - start) / 1e6).toFixed(1)} ms`
