/** Finds the server that a user names. */
import * as fs from 'node:fs'
import type { HostEntry } from './host-entry.js'
import { findIptPkdHost } from './ipt-pkd-hosts.js'
import { hostsFile } from './client-paths.js'

/**
 * The host entry of that name: in hosts.yaml, else in the file of ipt_pkd's client; else a name or address of the network.
 * `warn` is told of what YAML may read otherwise than it is meant.
 */
export async function findHost(name: string, warn: (warning: string) => void): Promise<HostEntry> {
  // The libraries that read hosts.yaml take longer to load than a knock takes.
  const entry = mayExist(hostsFile())
    ? (await import('./hosts-file.js')).findHostEntry(name, undefined, warn)
    : undefined
  return entry ?? findIptPkdHost(name) ?? { type: 'pkd', host: name }
}

function mayExist(file: string): boolean {
  try {
    return fs.statSync(file, { throwIfNoEntry: false }) !== undefined
  } catch {
    return true
  }
}
