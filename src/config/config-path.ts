/** Values inside a configuration: the way to one, as data and as text. */
import { oneLine } from '../util/index.js'

/** The keys and indices that lead to a value. */
export type ConfigPath = readonly (string | number)[]

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
}

/** `services.ssh.allow[1]: `, or nothing for the top. */
export function formatPath(at: ConfigPath): string {
  if (at.length === 0) return ''
  const text = at.map((part, i) => (typeof part === 'number' ? `[${part}]` : `${i > 0 ? '.' : ''}${part}`)).join('')
  return `${oneLine(text)}: `
}

export function valueAt(value: unknown, at: ConfigPath): unknown {
  return at.reduce<unknown>((parent, part) => {
    if (Array.isArray(parent)) return (parent as unknown[])[Number(part)]
    return isMapping(parent) && Object.hasOwn(parent, part) ? parent[part] : undefined
  }, value)
}
