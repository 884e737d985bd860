/** fwknop's access.conf: a credential for each stanza, and a service for each port. */
import { parseFwknopKey } from '../config/values.js'
import { maxFwknopHmacKey, maxFwknopKey } from '../knock/index.js'
import { bound, Draft } from './draft.js'
import type { ImportResult } from './draft-entries.js'
import { daemonOptions } from './fwknop-daemon.js'
import { readStanzas } from './fwknop-file.js'
import type { StanzaAccess, Port } from './fwknop-stanza.js'
import { accessOf } from './fwknop-stanza.js'
import type { Note } from './notes.js'
import { caution, remark } from './notes.js'

/** `daemonText` is that of fwknopd.conf; undefined where there is none. */
export function importFwknop(text: string, daemonText?: string): ImportResult {
  const draft = new Draft()
  const stanzas = readStanzas(text, draft)
  bound(stanzas.length)
  const leave = (line: number, why: string) => draft.caution(`left out: the stanza at line ${line}: ${why}`)
  const accesses = stanzas.flatMap(stanza => {
    const access = accessOf(stanza)
    if (typeof access !== 'string') return [access]
    leave(stanza.line, access)
    return []
  })
  const ofDaemon = daemonOptions(accesses.length > 0 ? daemonText : undefined, draft)
  const lines = new Map<string, number>()
  for (const access of accesses) {
    const { line, user, options, secrets, window, isEnabled, notes } = access
    const twin = lines.get(identityOf(access))
    const { ports, note } = opened(access, accesses)
    if (twin !== undefined) leave(line, `it has the keys of the stanza at line ${twin}; give it keys of its own`)
    else if (ports.length === 0)
      leave(line, 'it opens every port that a packet asks for: name ports in OPEN_PORTS, which pkctl then closes')
    else {
      lines.set(identityOf(access), line)
      draft.credential({
        name: user ?? 'fwknop',
        options: { ...options, ...ofDaemon, ...(isEnabled ? {} : { enabled: false }) },
        secrets,
        opens: ports.map(({ protocol, port }) => ({ protocol, ports: [{ first: port, last: port }], window })),
        notes: [remark(`the stanza at line ${line}`), ...note, ...notes],
      })
    }
  }
  if (lines.size > 0) {
    draft.caution(
      'fwknop sends over IPv4 alone; pkctl closes the ports over IPv6 as well, and its packets do not open them',
    )
    draft.remark(
      'a packet of fwknop -a or -R opens for the address that it comes from; for another one, see obo in docs/configuration.md',
    )
  }
  return draft.finish()
}

/** The ports of a stanza; of one that names none those of all others, because pkctl closes no more. */
function opened(
  { ports, except }: StanzaAccess,
  accesses: readonly StanzaAccess[],
): { ports: readonly Port[]; note: Note[] } {
  const key = ({ protocol, port }: Port) => `${port}/${protocol}`
  const closed = new Set(except.map(key))
  const all = ports ?? new Map(accesses.flatMap(access => (access.ports ?? []).map(port => [key(port), port]))).values()
  const why = 'it opens every port that a packet asks for there; here those that the others open'
  return { ports: [...all].filter(port => !closed.has(key(port))), note: ports ? [] : [caution(why)] }
}

/** What pkctl tells credentials apart by. */
function identityOf({ options, secrets }: StanzaAccess): string {
  const keys = [parseFwknopKey(secrets.key, maxFwknopKey), parseFwknopKey(secrets['hmac-key'], maxFwknopHmacKey)]
  return [String(options['hmac']), ...keys.map(key => key.toString('hex'))].join(' ')
}
