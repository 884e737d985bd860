/** What `pkctl doctor` can find, and how one finding looks. */

/** error: something does not work, or is open that should not be; warning: it may; note: worth knowing. */
export type Level = 'error' | 'warning' | 'note'

/** Every finding with the level that it has unless its text says why it has another. */
export const catalogue = {
  // What pkctl stands on
  'not-looked-at': 'warning',
  'no-net-admin': 'error',
  'no-nft': 'error',
  'old-nft': 'warning',
  'no-nf-tables': 'error',
  'no-way-to-queue': 'error',
  'queue-by-iptables': 'note',
  'no-nfnetlink-queue': 'error',
  'no-libnetfilter-queue': 'error',
  'no-flock': 'error',
  // The daemon and its queue
  'daemon-not-running': 'error',
  'daemon-mute': 'error',
  'signatures-down': 'error',
  'self-test-failed': 'error',
  'self-test-impossible': 'note',
  'daemon-elsewhere': 'warning',
  'daemon-other-version': 'warning',
  'daemon-other-configuration': 'note',
  'configuration-changed': 'warning',
  'socket-dead': 'note',
  'fleet-engine-away': 'warning',
  'fleet-key': 'warning',
  'fleet-version': 'note',
  'fleet-clock': 'warning',
  'fleet-name': 'error',
  'fleet-messages-missing': 'warning',
  'fleet-server-silent': 'note',
  'fleet-engine-open': 'warning',
  'fleet-claims': 'warning',
  'fleet-differs': 'warning',
  'queue-taken': 'error',
  'queue-unread': 'error',
  'queue-overflow': 'warning',
  'queue-shared': 'warning',
  'wrong-minute': 'note',
  'packet-path-missing': 'error',
  'queue-rule-missing': 'error',
  'ruleset-not-watched': 'warning',
  'table-not-owned': 'warning',
  // The configuration, and what of it the kernel has
  'no-configuration': 'note',
  'configuration-invalid': 'error',
  'nothing-guarded': 'note',
  'service-not-in-kernel': 'error',
  'service-differs': 'warning',
  'service-not-in-configuration': 'note',
  'service-damaged': 'error',
  'watch-only': 'warning',
  'cuts-connections': 'note',
  'nobody-opens': 'warning',
  'opens-nothing': 'warning',
  'interface-unmatched': 'warning',
  'set-nearly-full': 'warning',
  'session-shut-out': 'note',
  // Rules of others
  'policy-drops': 'warning',
  'rule-drops': 'warning',
  'passes-for-some': 'warning',
  'knocks-dropped': 'warning',
  'published-past-input': 'warning',
  'redirected-past-prerouting': 'warning',
  'foreign-mark': 'warning',
  'foreign-queue': 'warning',
  'saved-rules': 'warning',
  'ruleset-flushed-at-start': 'note',
  // Secrets and knocks
  'weak-key': 'warning',
  'weak-secret': 'warning',
  'shared-tag': 'note',
  'any-clock': 'warning',
  'no-rate': 'note',
  'ascending-sequence': 'warning',
  'short-sequence': 'warning',
  'few-sequences': 'warning',
  'md5-digest': 'warning',
  'small-range': 'warning',
  'long-grace': 'note',
  'obo-everywhere': 'warning',
  'shell-trigger': 'warning',
  'unlimited-window': 'warning',
  // The clock
  'clock-unsynchronised': 'warning',
  'clock-unknown': 'note',
  // Files
  'path-unreadable': 'error',
  'path-unwritable': 'error',
  'secrets-readable': 'error',
  'state-not-writable': 'error',
  'state-readable': 'warning',
  'file-writable': 'error',
  'socket-open-to-all': 'warning',
  'program-writable': 'error',
  'program-missing': 'error',
} as const satisfies Record<string, Level>

export type FindingId = keyof typeof catalogue

/** What it is about, for programs that read the findings. */
interface Subject {
  readonly service?: string
  readonly credential?: string
  readonly path?: string
  readonly table?: string
}

export interface Finding extends Subject {
  readonly id: FindingId
  readonly level: Level
  /** A sentence, in lower case and without a full stop, as all that pkctl says. */
  readonly message: string
  /** What to do. */
  readonly advice: string
}

export function finding(
  id: FindingId,
  message: string,
  advice: string,
  { level = catalogue[id], ...subject }: Subject & { readonly level?: Level } = {},
): Finding {
  return { id, level, message, advice, ...subject }
}

/** `2 errors, 1 warning`, or that there is nothing. */
export function findingsSummary(findings: readonly Finding[]): string {
  const counts = (['error', 'warning', 'note'] as const).flatMap(level => {
    const count = findings.filter(one => one.level === level).length
    return count === 0 ? [] : [`${count} ${level}${count === 1 ? '' : 's'}`]
  })
  return counts.join(', ') || 'no problems found'
}
