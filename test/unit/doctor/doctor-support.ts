/** A machine on which all is well, and what must be found when something of it is otherwise. */
import assert from 'node:assert/strict'
import type { Status } from '../../../src/controller/report/collect-status.js'
import { checkAll } from '../../../src/doctor/checks/check-all.js'
import type { Facts, FileFacts } from '../../../src/doctor/facts.js'
import type { Finding, FindingId } from '../../../src/doctor/finding.js'
import type { ServiceState } from '../../../src/nft/reconcile/service-state.js'
import { load, main } from '../config/config-support.js'

export const goodKey = '0x8f1c6a0be2d94757a1d3b6c0f4e58292'
export const laptop = `laptop: { type: pkd, tag: SSHK, key: '${goodKey}', opens: [s] }`
export const version = '1.2.3'

export const status: Status = {
  version,
  pid: 100,
  uptimeSeconds: 10,
  config: main,
  configuredAt: 1000,
  queue: { number: 62, native: true, waiting: 0, unanswered: 0 },
  services: [],
  credentials: 1,
  knocks: { accepted: 0, refused: {} },
  waitedConnections: 0,
  healed: 0,
  watched: true,
  table: { mode: 'restored' },
  strayPackets: 0,
}

/** Facts with this below `credentials`, and all services in the kernel. */
export function facts(credentials = laptop, services = 's: { port: 22 }'): Facts {
  const { config } = load(`services:\n  ${services}\ncredentials:\n  ${credentials}`)
  const state = (spec: ServiceState['spec']): ServiceState => ({
    spec,
    sound: true,
    grants: [],
    refusedPackets: 0,
    admittedPackets: 0,
  })
  return {
    machine: {
      root: true,
      netAdmin: true,
      nft: '1.0.6',
      iptablesNft: false,
      flock: true,
      nfTables: { works: true, nativeQueue: true },
      nfnetlinkQueue: true,
      libraryProblem: null,
      nftablesServiceFlushes: false,
      release: '6.16.0',
    },
    daemon: {
      socket: '/run/pkctl/pkctl.sock',
      queueReader: { port: 100, name: 'node', isPkctld: true },
      state: 'answers',
      status,
    },
    configuration: {
      file: main,
      present: true,
      config,
      problems: [],
      changedAt: 900,
      oneTime: new Map(),
      unwritable: [],
      hidden: [],
    },
    kernel: {
      services: new Map(config.services.map(spec => [spec.name, state(spec)])),
      differences: new Map(),
      sets: [],
      chains: [],
      addresses: ['192.0.2.10'],
      interfaces: ['eth0'],
      queue: 62,
      queued: true,
    },
    interfaces: [
      { name: 'lo', master: null },
      { name: 'eth0', master: null },
      { name: 'eth1', master: 'br0' },
      { name: 'br0', master: null },
    ],
    saved: [],
    clock: 'synchronised',
    files: [],
    session: null,
    trusted: [0],
    daemonGroup: 999,
    notSeen: [],
  }
}

/** A file in a directory, both root's. */
export function file(parts: Partial<FileFacts> & { mode: number }): FileFacts {
  const path = parts.path ?? '/etc/pkctl/x'
  const own = { path, uid: 0, gid: 0, ...parts }
  return {
    ...own,
    what: 'secret',
    usable: true,
    holdsSecrets: false,
    components: [own, { path: '/etc/pkctl', mode: 0o040755, uid: 0, gid: 0 }],
    ...parts,
  }
}

export const ids = (found: readonly Finding[]): FindingId[] => found.map(({ id }) => id)

/** That just these are found, in any order; gives the first. */
export function finds(given: Facts, ...wanted: FindingId[]): Finding {
  const found = checkAll(given, version)
  assert.deepEqual(ids(found).sort(), wanted.sort(), JSON.stringify(found))
  return found[0] as Finding
}
