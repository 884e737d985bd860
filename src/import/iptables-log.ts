/** The log options of iptables and pktables, as pkctl's. */
import { kernelLogLevels } from '../config/values.js'
import { quote, usageError } from '../util/index.js'

export function levelOf(text: string): string {
  const names: Readonly<Record<string, string>> = { panic: 'emerg', error: 'err', warning: 'warn' }
  const level = /^[0-7]$/.test(text) ? kernelLogLevels[Number(text)] : (names[text] ?? text)
  if (level !== undefined && (kernelLogLevels as readonly string[]).includes(level)) return level
  throw usageError(`--log-level takes a number from 0 to 7, or a name such as warning, not ${quote(text)}`)
}

/** The number of digits that parsePacketRate of src/config/values.ts takes. */
const maxCount = 999_999

/** `5/minute`, of which iptables reads any beginning: `5/min`, `5/m`; and `5` is `5/second`. */
export function rateOf(text: string): string {
  const [, count = '', start = 'second'] = /^(\d+)(?:\/([a-z]+))?$/i.exec(text) ?? []
  const unit = ['second', 'minute', 'hour', 'day'].find(name => name.startsWith(start.toLowerCase()))
  if (unit !== undefined && count !== '' && Number(count) <= maxCount) return `${Number(count)}/${unit}`
  throw usageError(`--log-limit takes a rate such as 5/minute, 5/min or 3/h, not ${quote(text)}`)
}
