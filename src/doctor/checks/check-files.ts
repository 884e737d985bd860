/** Who else can read or write what pkctl relies on. */
import type { HiddenFile, UnwritablePath } from '../../config/index.js'
import type { Facts, FileFacts, Owned } from '../facts.js'
import type { Finding, Level } from '../finding.js'
import { finding } from '../finding.js'

const root = 0
const groupWrites = 0o020
const othersWrite = 0o002
const othersRead = 0o004
const groupReads = 0o040
const sticky = 0o1000
const directory = 0o040000
const typeBits = 0o170000

type Known = Pick<Facts, 'files' | 'trusted' | 'daemonGroup' | 'configuration'>

export function checkFiles({ files, trusted, daemonGroup, configuration }: Known): Finding[] {
  return [
    ...configuration.hidden.map(hidden),
    ...configuration.unwritable.map(unwritable),
    ...dedupe(
      files.flatMap(file => [
        ...readable(file, daemonGroup),
        ...writable(file, trusted),
        ...program(file),
        ...stateFiles(file),
      ]),
    ),
  ]
}

const hidden = ({ shut, advice }: HiddenFile) =>
  finding('path-unreadable', `pkctld, which runs as user pkctl, cannot read ${shut}`, advice, { path: shut })

const unwritable = ({ option, path, effect, advice, isFatal }: UnwritablePath) =>
  finding('path-unwritable', `pkctld, which runs as user pkctl, cannot write ${path} (${option}): ${effect}`, advice, {
    path,
    level: isFatal ? 'error' : 'warning',
  })

const names = {
  configuration: 'the configuration',
  secret: 'the secret',
  sequences: 'the sequences',
  state: 'the state directory',
  socket: 'the socket',
  program: 'the program of a trigger',
} as const

const subjectOf = ({ credential }: FileFacts, path: string) => ({
  path,
  ...(credential === undefined ? {} : { credential }),
})

function readable(file: FileFacts, daemonGroup: number | null): Finding[] {
  const { path, what, mode = 0, gid, holdsSecrets } = file
  const subject = subjectOf(file, path)
  const isDaemons = gid !== undefined && gid === daemonGroup
  if (what === 'secret' && (mode & (isDaemons ? othersRead : groupReads | othersRead)) !== 0) {
    return [
      finding(
        'secrets-readable',
        `${path} holds a secret, and ${whoReads(mode)} can read it`,
        `chmod ${isDaemons ? '640' : '600'} ${path}`,
        subject,
      ),
    ]
  }
  if (what === 'configuration' && holdsSecrets && (mode & othersRead) !== 0) {
    const message = `secrets stand in ${path}, and everyone can read it`
    return [finding('secrets-readable', message, `chmod 640 ${path}, or put them into files of their own`, subject)]
  }
  if (what === 'sequences' && (mode & othersRead) !== 0) {
    const message = `${path} holds sequences that are still good, and everyone can read it`
    return [finding('secrets-readable', message, `chmod 600 ${path}`, subject)]
  }
  if (what === 'state' && (mode & othersRead) !== 0) {
    const message = `every user can read ${path}, which shows who has knocked and when`
    return [finding('state-readable', message, `chmod 700 ${path}`, subject)]
  }
  return []
}

const whoReads = (mode: number) => ((mode & othersRead) !== 0 ? 'everyone' : 'its group')

function writable(file: FileFacts, trusted: readonly number[]): Finding[] {
  if (file.what === 'socket' && ((file.mode ?? 0) & othersWrite) !== 0) {
    const message = `everyone can use the socket ${file.path}, and so make pkctld reload`
    return [
      finding(
        'socket-open-to-all',
        message,
        "restart pkctld; 'socket: group' names who may use it",
        subjectOf(file, file.path),
      ),
    ]
  }
  return file.components.flatMap(component => {
    const problem = writersOf(component, file, trusted)
    if (!problem) return []
    const { who, level } = problem
    const id = file.what === 'program' ? 'program-writable' : 'file-writable'
    const of = component.path === file.path ? '' : ` above ${file.path}`
    const effect =
      file.what === 'program'
        ? 'what runs with the rights of pkctld is up to them'
        : `they can put their own in the place of ${names[file.what]}`
    return [
      finding(id, `${component.path}${of} can be written by ${who}: ${effect}`, remedy(component, file), {
        ...subjectOf(file, component.path),
        level,
      }),
    ]
  })
}

function writersOf(
  { mode, uid, gid, path }: Owned,
  file: FileFacts,
  trusted: readonly number[],
): { who: string; level: Level } | undefined {
  // In a directory with the sticky bit, others cannot put theirs in the place of what is root's.
  const isShielded = (mode & typeBits) === directory && (mode & sticky) !== 0 && path !== file.path
  // The socket is for its group, as the configuration says.
  if (file.what === 'socket' && path === file.path) return undefined
  if ((mode & othersWrite) !== 0 && !isShielded) return { who: 'everyone', level: 'error' }
  if (!trusted.includes(uid)) return { who: `the user ${uid}, whom it belongs to`, level: 'warning' }
  if ((mode & groupWrites) !== 0 && gid !== root && !isShielded) return { who: `the group ${gid}`, level: 'warning' }
  return undefined
}

/** Files that the daemon writes, as the user that it runs as. */
const written: readonly FileFacts['what'][] = ['state', 'sequences', 'socket']

function remedy({ mode, uid, path }: Owned, file: FileFacts): string {
  const isWritten = written.includes(file.what) && path === file.path
  return [
    ...(uid === root
      ? []
      : [isWritten ? 'if pkctld runs as another user, chown it to that user' : `chown root ${path}`]),
    ...((mode & (groupWrites | othersWrite)) === 0 ? [] : [`chmod go-w ${path}`]),
  ].join(isWritten ? '; ' : ' && ')
}

function program(file: FileFacts): Finding[] {
  if (file.what !== 'program' || file.usable) return []
  const message = `${file.path}, which ${file.credential ?? 'a credential'} runs, is not there or cannot be run`
  return [finding('program-missing', message, 'install it, or name another', subjectOf(file, file.path))]
}

/** The daemon runs as the owner of its state directory, and cannot write what another user, such as root, made there. */
function stateFiles({ what, uid, gid, inside = [] }: FileFacts): Finding[] {
  // Root can write all of them.
  if (what !== 'state' || uid === root) return []
  const paths = inside.filter(file => file.uid !== uid).map(({ path }) => path)
  const [first] = paths
  if (first === undefined) return []
  const message = `pkctld, which runs as user ${uid}, cannot write ${paths.join(', ')}: another user made them`
  return [
    finding('state-not-writable', message, `stop pkctld, and run chown -h ${uid}:${gid} ${paths.join(' ')}`, {
      path: first,
    }),
  ]
}

/** A directory above several files is one finding. */
function dedupe(findings: readonly Finding[]): Finding[] {
  const seen = new Set<string>()
  return findings.filter(({ id, path }) => {
    const key = `${id} ${path}`
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}
