import { oneLine } from '../../util/index.js'

/** Notes that something could not be looked at, and the error that is why. */
export type NotSeen = (what: string, why: unknown) => void

export function notebook(): { readonly entries: { what: string; why: string }[]; readonly note: NotSeen } {
  const entries: { what: string; why: string }[] = []
  return {
    entries,
    note: (what, why) => {
      entries.push({ what, why: oneLine(why instanceof Error ? why.message : String(why)) })
    },
  }
}
