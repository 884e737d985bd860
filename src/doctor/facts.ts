/** What is to be known of a machine before it can be judged. Gathered in doctor/probes; null = could not be looked at. */
import type { HostInterface } from '../net/index.js'
import type { HiddenFile, UnwritablePath } from '../config/index.js'
import type { Config } from '../config/types.js'
import type { Status } from '../controller/index.js'
import type { Step } from '../knock/index.js'
import type { RuleChain, SavedPart, SetFill } from '../nft/foreign/index.js'
import type { ServiceState } from '../nft/index.js'
import type { Session } from '../safety/index.js'

export interface Facts {
  readonly machine: MachineFacts
  readonly daemon: DaemonFacts
  readonly configuration: ConfigurationFacts
  readonly kernel: KernelFacts | null
  /** The files of others in which rules of pkctl stand. */
  readonly saved: readonly SavedRules[]
  /** All interfaces, also those that are down. */
  readonly interfaces: readonly HostInterface[] | null
  readonly clock: ClockState
  readonly files: readonly FileFacts[]
  /** The established ssh session that the command was typed in, also through sudo. */
  readonly session: Session | null
  /** Users whose files may be relied on: root, and that of the daemon. */
  readonly trusted: readonly number[]
  /** The group in which the daemon reads keys; null where it has none of its own. */
  readonly daemonGroup: number | null
  /** What could not be looked at, and why. */
  readonly notSeen: readonly { readonly what: string; readonly why: string }[]
}

export interface MachineFacts {
  readonly root: boolean
  readonly netAdmin: boolean
  /** As `nft --version` has it; null = there is none. */
  readonly nft: string | null
  readonly iptablesNft: boolean
  readonly flock: boolean
  /** What nft said to an inet table, and whether it takes `queue`. */
  readonly nfTables:
    { readonly works: true; readonly nativeQueue: boolean } | { readonly works: false; readonly why: string } | null
  readonly nfnetlinkQueue: boolean | null
  /** Why the library cannot be loaded; null = it can. */
  readonly libraryProblem: string | null
  /** /etc/nftables.conf begins with a flush, and nftables.service runs it at boot. */
  readonly nftablesServiceFlushes: boolean
  /** Of the kernel, as `uname -r` has it. */
  readonly release: string
}

export type DaemonFacts = {
  readonly socket: string
  /** The process that reads the configured queue; null = none. */
  readonly queueReader: QueueReader | null
} & (
  | { readonly state: 'answers'; readonly status: Status }
  /** No socket; a socket without a server; a server that does not answer; a socket that this process may not use. */
  | { readonly state: 'absent' | 'dead' | 'mute' | 'forbidden' }
)

export interface QueueReader {
  /** The port of its netlink socket, mostly the process's number. */
  readonly port: number
  /** Null when no process has that number. */
  readonly name: string | null
  readonly isPkctld: boolean
}

export interface ConfigurationFacts {
  readonly file: string
  /** False when there is no such file. */
  readonly present: boolean
  readonly config: Config | null
  /** Why it is no configuration, one line each. */
  readonly problems: readonly string[]
  /** When it was last changed, any of its files; Unix seconds, null = unknown. */
  readonly changedAt: number | null
  /** Unused lines of each credential of type one-time. */
  readonly oneTime: ReadonlyMap<string, readonly (readonly Step[])[]>
  /** Its paths that the user of the service cannot write. */
  readonly unwritable: readonly UnwritablePath[]
  /** Its files that the user of the service cannot read. */
  readonly hidden: readonly HiddenFile[]
}

export interface KernelFacts {
  readonly services: ReadonlyMap<string, ServiceState>
  /** How a service of the configuration differs from the one in the kernel, by name. */
  readonly differences: ReadonlyMap<string, readonly string[]>
  readonly sets: readonly SetFill[]
  /** The chains of everybody else. */
  readonly chains: readonly RuleChain[]
  /** The machine's own addresses and interfaces, without the loopback. */
  readonly addresses: readonly string[]
  readonly interfaces: readonly string[]
  /** The queue to which the packet path sends; null = there is no packet path. */
  readonly queue: number | null
  /** Whether what the packet path marks comes into the queue, for each version of IP. */
  readonly queued: boolean
}

export interface SavedRules extends SavedPart {
  readonly path: string
}

export type ClockState = 'synchronised' | 'not-synchronised' | 'unknown'

export interface Owned {
  readonly path: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

export interface FileFacts extends Partial<Owned> {
  readonly path: string
  readonly what: 'configuration' | 'secret' | 'sequences' | 'state' | 'socket' | 'program'
  /** The credential whose file it is. */
  readonly credential?: string
  /** False when it is not there, or a program that cannot be run. */
  readonly usable: boolean
  readonly holdsSecrets: boolean
  /** The file itself and every directory above it. */
  readonly components: readonly Owned[]
  /** Of a directory: the files in it. */
  readonly inside?: readonly Owned[]
}
