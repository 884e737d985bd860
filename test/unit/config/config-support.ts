/** A file system of a few files for the loader, and what it should make of plain entries. */
import assert from 'node:assert/strict'
import * as path from 'node:path'
import { ConfigError } from '../../../src/config/config-error.js'
import type { ConfigReader } from '../../../src/config/load.js'
import { loadConfig } from '../../../src/config/load.js'
import type { Credential, LoadedConfig, PkdCredential } from '../../../src/config/types.js'
import type { ServiceSpec } from '../../../src/nft/table/service-spec.js'

export const main = '/etc/pkctl/pkctl.yaml'

export interface FakeFile {
  text: string | Buffer
  mode?: number
  gid?: number
  kind?: 'pipe'
}
export type Files = Readonly<Record<string, string | FakeFile>>

/** The group of the daemon, to which files do not belong unless said. */
export const daemonGroup = 996

/** A file system of a few files, each with mode 0600 unless said. Names are relative to /etc/pkctl. */
export function fakeReader(files: Files): ConfigReader {
  const find = (file: string): FakeFile => {
    const found = files[path.relative('/etc/pkctl', file)]
    if (found === undefined) throw Object.assign(new Error(`no ${file}`), { code: 'ENOENT' })
    return typeof found === 'string' ? { text: found } : found
  }
  const stat = (file: string) => {
    const { text, mode = 0o600, gid = 0, kind } = find(file)
    return { mode: 0o100000 | mode, size: text.length, gid, isFile: () => kind === undefined }
  }
  return {
    readFile: file => Buffer.from(find(file).text),
    readNamed: file => Buffer.from(find(file).text),
    readOwned: file => Buffer.from(find(file).text),
    readDirectory: directory => {
      const inside = Object.keys(files).filter(file => path.dirname(path.join('/etc/pkctl', file)) === directory)
      if (inside.length === 0) throw Object.assign(new Error(`no ${directory}`), { code: 'ENOENT' })
      return inside.map(file => path.basename(file))
    },
    readChecked: (file, maxBytes) => ({
      stat: stat(file),
      bytes: Buffer.from(find(file).text).subarray(0, maxBytes),
    }),
    stat,
    canWrite: file => {
      if (((find(file).mode ?? 0o600) & 0o200) === 0)
        throw Object.assign(new Error('EROFS: read-only file system, access'), { code: 'EROFS' })
    },
    daemonGroup,
  }
}

export const load = (files: string | Files): LoadedConfig =>
  loadConfig(main, fakeReader(typeof files === 'string' ? { 'pkctl.yaml': files } : files))

/** The problems as lines, without the directory. */
export function problemsOf(files: string | Files): string[] {
  try {
    load(files)
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    return error.message.split('\n').map(line => line.replaceAll('/etc/pkctl/', ''))
  }
  return []
}

export function only<T>(items: readonly T[]): T {
  assert.equal(items.length, 1)
  return items[0] as T
}

export const service = (yaml: string): ServiceSpec => only(load(`services:\n  s: {${yaml}}`).config.services)
export const credential = (yaml: string): Credential =>
  only(load(`services: {s: {port: 1}}\ncredentials:\n  c: {${yaml}}`).config.credentials)
/** Those that are PKD's. */
export const pkdOf = (credentials: readonly Credential[]): PkdCredential[] =>
  credentials.filter(credential => credential.type === 'pkd')
export const pkd = (yaml: string): PkdCredential => only(pkdOf([credential(`type: pkd, opens: [s], ${yaml}`)]))

export const defaults = {
  file: main,
  queue: { number: 62, maxLength: 16_384 },
  marks: { mask: 0xff },
  openPorts: [],
  limits: {
    perSource: 200,
    perNetwork: 10_000,
    excess: 20_000,
    total: 0,
    replayEntries: 2_000_000,
    anyClockEntries: 10_000,
    triggersAtOnce: 4,
    triggersWaiting: 1000,
  },
  stateDirectory: '/var/lib/pkctl',
  socket: { path: '/run/pkctl/pkctl.sock', group: null, groupMay: ['status', 'list'] },
  log: { level: 'info', to: 'console', format: 'auto', history: 2_000_000 },
  metrics: { listen: null, textfile: null, intervalSeconds: 15 },
  fleet: null,
  selfTestSeconds: 60,
  notify: [],
  services: [],
  credentials: [],
}

export const noTriggers = { open: null, close: null, expiry: null }

export const plainService: ServiceSpec = {
  name: 's',
  protocol: 'tcp',
  ports: [{ first: 22, last: 22 }],
  syn: true,
  closing: 'drop',
  window: 60,
  singleUse: false,
  failOpen: false,
  allow: [],
  prefix4: 32,
  prefix6: 128,
  hook: 'input',
  interfaces: [],
  log: null,
}

export const range = (first: number, last: number) => ({ first, last })
