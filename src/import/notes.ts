/** What an importer says about what it found: comments in the YAML, and warnings on stderr. */
import { oneLine } from '../util/index.js'

/** A comment, and with `warning` a line on stderr as well, for what is left out or not as it was. */
export interface Note {
  readonly text: string
  readonly warning: boolean
}

export const remark = (text: string): Note => ({ text, warning: false })
export const caution = (text: string): Note => ({ text, warning: true })

/** knockd and its like run as root; the daemon of the packages does not. */
export const rightsOfCommands =
  'under the units of the packages, commands are run as the user pkctl, with CAP_NET_ADMIN alone, on a read-only system: ' +
  'what needs root or another user fails (docs/installation.md, commands on a knock)'

/** A word of the input, for comments: on one line, and cut. */
export const shorten = (text: string): string => {
  const line = oneLine(text.slice(0, 200))
  return line.length > 100 ? `${line.slice(0, 100)}…` : line
}
