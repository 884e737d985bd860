/** Texts about connections that fail after a knock. */
import type { Address } from './send.js'

/** The hint when a port stays closed after a knock. */
export const closedHint = 'wrong key, tag or port of the knock, or a clock that differs; the log of pkctld tells'

/** Why a connection to the address failed. */
export const connectErrorText = ({ address }: Address, { code, message }: NodeJS.ErrnoException): string =>
  code === 'ECONNREFUSED' ? `${address} refuses` : message

export const noAnswerText = ({ address }: Address): string => `no answer from ${address}`

export const elapsedText = (start: bigint): string => `${(Number(process.hrtime.bigint() - start) / 1e6).toFixed(1)} ms`
