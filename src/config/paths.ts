/** Where in the configuration something is, in text. */
import { oneLine } from '../util/text.js'
import type { ConfigPath } from './sources.js'

/** `services.ssh.allow[1]: `, or nothing for the top. */
export function formatPath(at: ConfigPath): string {
  if (at.length === 0) return ''
  const text = at.map((part, i) => (typeof part === 'number' ? `[${part}]` : `${i > 0 ? '.' : ''}${part}`)).join('')
  return `${oneLine(text)}: `
}
