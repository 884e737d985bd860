/** What may be wrong with the daemon and the ruleset, in sentences, for `pkctl status` and `pkctl watch`. */
import type { Status } from '../../controller/index.js'
import type { Unconfirmed } from '../../safety/ask-rollback-process.js'
import { goOn } from '../../safety/ask-rollback-process.js'
import { count, durationText, oneLine } from '../../util/index.js'

export function selfTestLines({ result, because = '', passedAt }: NonNullable<Status['selfTest']>): string[] {
  if (result === 'impossible') return [`self-test: not possible: ${oneLine(because)}`]
  if (result !== 'failed') return []
  const last =
    passedAt === null ? 'none has passed since the start' : `the last one that passed: ${instantText(passedAt)}`
  return [`self-test: failed: ${oneLine(because)}; ${last}`]
}

export const instantText = (seconds: number) => `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`

export const waitingLines = (change: Unconfirmed | undefined): string[] =>
  change === undefined
    ? []
    : change === 'silent'
      ? [`a change waits, and its process stands still: ${goOn}`]
      : [`a change is rolled back in ${durationText(change)}: pkctl confirm keeps it, pkctl rollback undoes it`]

export function grantCheckLines({ grantCheck }: Status): string[] {
  if (!grantCheck) return []
  const { missing, restored, unknown, changed, byOthers } = grantCheck
  const parts = [
    missing > 0 ? `missing in the kernel: ${missing} (restored: ${restored})` : '',
    unknown > 0 ? `unknown: ${unknown}` : '',
    changed > 0 ? `with a changed end: ${changed}` : '',
    byOthers > 0 ? `changed by other programs: ${byOthers}` : '',
  ].filter(part => part !== '')
  return parts.length > 0 ? [`grants: ${parts.join('; ')}`] : []
}

export function tableText({ mode, because }: NonNullable<Status['table']>): string {
  if (mode === 'owned') return 'owned: other programs can neither change nor flush it'
  return `restored after changes${because === undefined ? '' : `: ${oneLine(because)}`}`
}

/** What may have been knocks, and did not leave the kernel. */
export const notQueuedLines = ({ knocks: { ofOtherMinutes, ofNoCredential } }: Status): string[] => [
  ...(ofOtherMinutes
    ? [`${count(ofOtherMinutes, 'packet')} of the right size in the wrong minute: is a clock wrong?`]
    : []),
  ...(ofNoCredential
    ? [
        `${count(ofNoCredential, 'packet')} as long as a PKD knock, with the tag of no credential; other UDP of that length counts, too`,
      ]
    : []),
]
