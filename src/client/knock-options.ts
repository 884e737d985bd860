/** What `pkctl knock` and `pkctl connect` share: their options, whom they know, and what they say. */
import * as fs from 'node:fs'
import type { HostEntry } from './hosts-file.js'
import { findIptPkdHost } from './ipt-pkd-hosts.js'
import type { Address } from './send.js'
import { hostsFile } from './user-files.js'

export interface FamilyFlags {
  readonly 4?: boolean
  readonly 6?: boolean
}

export interface KnockFlags extends FamilyFlags {
  readonly tag?: string
  readonly keyFile?: string
  readonly keyEnv?: string
  readonly port?: string
  readonly udp?: boolean
  readonly delay?: string
  readonly answerTime?: string
  readonly onBehalfOf?: string
}

/** The place of that name: of hosts.yaml, else of ipt_pkd's client, else the network's host. */
export async function hostEntryNamed(name: string): Promise<HostEntry> {
  // What reads them takes longer to load than a knock takes.
  const place = mayBeThere(hostsFile()) ? (await import('./hosts-file.js')).findHostEntry(name) : undefined
  return place ?? findIptPkdHost(name) ?? { type: 'pkd', host: name }
}

function mayBeThere(file: string): boolean {
  try {
    return fs.statSync(file, { throwIfNoEntry: false }) !== undefined
  } catch {
    return true
  }
}

/** What is said when a port stays closed. */
export const closedHint = 'wrong key, tag or port of the knock, or a clock that differs; the log of pkctld tells'

/** Why a connection to the address did not come about, in a person's words. */
export const reasonFor = ({ address }: Address, { code, message }: NodeJS.ErrnoException): string =>
  code === 'ECONNREFUSED' ? `${address} refuses` : message

export const noAnswer = ({ address }: Address): string => `no answer from ${address}`

export const millisecondsSince = (start: bigint): string =>
  `${(Number(process.hrtime.bigint() - start) / 1e6).toFixed(1)} ms`
