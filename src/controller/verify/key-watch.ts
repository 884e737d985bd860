/**
 * Reads the files of users' keys, and reads them again when they change, without a reload. In doubt nothing opens: of a
 * file that cannot be read the keys are gone, and without a list of revoked keys none counts.
 */
import type { KeyFile, SshCredential } from '../../config/index.js'
import type { Credential } from '../../config/types.js'
import { count, oneLine } from '../../util/index.js'
import type { Log } from '../report/log-interface.js'
import type { PacketWorker } from '../packets/packet-worker-interface.js'
import type { ReadKeyFile } from './patient-reads.js'
import { keyFileId, PatientReads } from './patient-reads.js'
import type { CredentialKeys, KeysReport } from './signature-job.js'

const everyMilliseconds = 2000
/** A file system that does not answer keeps the daemon no longer from its start. */
const patienceMilliseconds = 5000

const roles = [
  ['authorizedKeys', 'authorized'],
  ['caKeys', 'authority'],
  ['revokedKeys', 'revoked'],
] as const

export class KeyWatch {
  #credentials: readonly SshCredential[] = []
  /** By user and path. */
  readonly #files = new Map<string, KeyFile>()
  /** What the credentials were when their keys were last in use. */
  #used = '[]'
  #reading: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  /** By credential: the problems of which the log has spoken. */
  readonly #told = new Map<string, readonly string[]>()

  readonly #reads: PatientReads

  constructor(
    read: ReadKeyFile,
    readonly worker: () => Pick<PacketWorker, 'useKeys'> | undefined,
    readonly log: Log,
  ) {
    this.#reads = new PatientReads(read)
  }

  /** Resolves when the keys of these credentials count, or a file system does not answer. */
  async follow(credentials: readonly Credential[]): Promise<void> {
    this.#credentials = credentials.flatMap(one => (one.type === 'ssh' ? [one] : []))
    clearInterval(this.#timer)
    if (this.#credentials.length === 0 && this.#used === '[]') return
    if (this.#credentials.length > 0) this.#timer = setInterval(() => void this.#look(), everyMilliseconds)
    let patience: NodeJS.Timeout | undefined
    const tooLong = new Promise<void>(resolve => (patience = setTimeout(resolve, patienceMilliseconds)))
    // What is being read may be for other credentials.
    await Promise.race([(this.#reading ?? Promise.resolve()).then(() => this.#look()), tooLong])
    clearTimeout(patience)
  }

  /** What is in the files that were read, each once. */
  get texts(): { readonly file: string; readonly content: Buffer; readonly isOfAuthorities: boolean }[] {
    const authorities = new Set(this.#credentials.flatMap(({ caKeys }) => caKeys.map(keyFileId)))
    return [...this.#files].flatMap(([name, { content }]) =>
      typeof content === 'string'
        ? []
        : [{ file: name.slice(name.indexOf(':') + 1), content, isOfAuthorities: authorities.has(name) }],
    )
  }

  /** Resolves when the keys count that are in the files now. */
  async readNow(): Promise<void> {
    if (this.#credentials.length === 0) return
    // What is being read may have been read before.
    await this.#reading
    await this.#look()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** One at a time. */
  #look(): Promise<void> {
    this.#reading ??= this.#readAll()
      .catch((error: unknown) => {
        this.log.error(`the keys of users cannot be read: ${(error as Error).message}`, { event: 'lockout-risk' })
      })
      .finally(() => (this.#reading = undefined))
    return this.#reading
  }

  async #readAll(): Promise<void> {
    const credentials = this.#credentials
    const paths = new Map(
      credentials.flatMap(one => roles.flatMap(([option]) => one[option])).map(p => [keyFileId(p), p]),
    )
    let isNew = false
    for (const name of this.#files.keys()) if (!paths.has(name)) this.#files.delete(name)
    for (const [name, path] of paths) {
      const before = this.#files.get(name)
      const file = await this.#reads.read(path, before?.stamp)
      if (!file) continue
      this.#files.set(name, file)
      isNew ||= !before || !sameContent(before.content, file.content)
    }
    const used = JSON.stringify(credentials)
    if (!isNew && used === this.#used) return
    const keys = credentials.map(one => this.#keysOf(one))
    const reports = (await this.worker()?.useKeys(keys.map(({ keys }) => keys))) ?? []
    this.#used = used
    for (const [i, report] of reports.entries()) this.#tell(report, keys[i]?.problems ?? [])
  }

  #keysOf(credential: SshCredential): { keys: CredentialKeys; problems: string[] } {
    const { name, closes, port, skew, identity, privateKey, principals } = credential
    const opens = closes.length > 0 ? closes : credential.opens
    const problems: string[] = []
    let isShut = false
    if (!privateKey) problems.push('this server does not have the private key of its identity: no knock counts')
    const files = roles.flatMap(([option, role]) =>
      credential[option].flatMap(path => {
        const content = this.#files.get(keyFileId(path))?.content ?? `${oneLine(path.written)} is not read yet`
        if (typeof content !== 'string') return [{ role, file: path.written, user: path.user, content }]
        if (role === 'revoked') isShut = true
        problems.push(role === 'revoked' ? `${content}; no key of ${name} counts until it is there` : content)
        return []
      }),
    )
    const revokes = closes.length > 0
    return {
      keys: { ...{ name, opens, port, skew, revokes, identity, privateKey, principals, files, isShut } },
      problems,
    }
  }

  #tell({ credential, keys, authorities, problems }: KeysReport, unread: readonly string[]): void {
    const found = `the keys of ${credential} are read: ${count(keys, 'key')}, ${count(authorities, 'CA')}`
    this.log.info(found, { credential, keys, authorities })
    const all = [...unread, ...problems]
    const told = this.#told.get(credential) ?? []
    this.#told.set(credential, all)
    for (const problem of all) {
      if (told.includes(problem)) continue
      // A file that is not read has keys that do not count; one line of many is no risk.
      const event = unread.includes(problem) ? { event: 'lockout-risk' } : {}
      this.log.warn(`credential ${credential}: ${problem}`, { credential, ...event })
    }
  }
}

const sameContent = (one: KeyFile['content'], other: KeyFile['content']) =>
  typeof one === 'string' || typeof other === 'string' ? one === other : one.equals(other)
