/** What `pkctl knock` and `pkctl connect` share: their options, whom they know, and what they say. */
import * as fs from 'node:fs'
import { Command } from 'commander'
import { defaultTag } from '../knock/pkd.js'
import { findIptPkdPlace } from './iptpkd.js'
import type { Place } from './places.js'
import type { Address } from './sending.js'
import { placesFile } from './userfiles.js'

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

/** A command with what both have; `portOption` names the port of a PKD knock. */
export function knockingCommand(name: string, portOption: string, timeout: string): Command {
  return new Command(name)
    .argument('<host>', 'a place of hosts.yaml, or a name or address')
    .option(`${portOption} <port>`, 'UDP port to knock on (default: a random one)')
    .option('--tag <tag>', `tag of the credential, text or 0x… (default: ${defaultTag})`)
    .option('--key-file <file>', 'file whose first line is the key')
    .option('--key-env <variable>', 'environment variable that holds the key')
    .option('-4', 'only over IPv4')
    .option('-6', 'only over IPv6')
    .option('--timeout <time>', 'how long to try to connect', timeout)
}

/** The place of that name: of hosts.yaml, else of ipt_pkd's client, else the network's host. */
export async function placeNamed(name: string): Promise<Place> {
  // What reads them takes longer to load than a knock takes.
  const place = mayBeThere(placesFile()) ? (await import('./places.js')).findPlace(name) : undefined
  return place ?? findIptPkdPlace(name) ?? { type: 'pkd', host: name }
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
