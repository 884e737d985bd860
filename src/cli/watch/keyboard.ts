/** What each key means while `pkctl watch` shows its screen, asks a question, or reads a filter. */
import type { Key } from 'node:readline'
import type { GrantLine } from './screen.js'

export type Mode =
  | { readonly kind: 'browse' }
  | { readonly kind: 'filter'; readonly text: string }
  /** A question about this grant, which `y` answers, whichever is selected by then. */
  | { readonly kind: 'revoke' | 'extend'; readonly grant: GrantLine }

type Action =
  | { readonly kind: 'quit' | 'up' | 'down' | 'none' | 'cancel' }
  | { readonly kind: 'ask'; readonly what: 'revoke' | 'extend' }
  | { readonly kind: 'do'; readonly what: 'revoke' | 'extend'; readonly grant: GrantLine }
  /** The filter as it is now; `done` when it is no longer typed. */
  | { readonly kind: 'filter'; readonly text: string; readonly done: boolean }

const longestFilter = 64
const browsing: Readonly<Record<string, Action>> = {
  q: { kind: 'quit' },
  up: { kind: 'up' },
  k: { kind: 'up' },
  down: { kind: 'down' },
  j: { kind: 'down' },
  r: { kind: 'ask', what: 'revoke' },
  e: { kind: 'ask', what: 'extend' },
  '/': { kind: 'filter', text: '', done: false },
  escape: { kind: 'filter', text: '', done: true },
}

/** `text` is what was typed; undefined for keys without a character. */
export function actionOf(mode: Mode, text: string | undefined, key: Pick<Key, 'name' | 'ctrl'>): Action {
  if (key.ctrl && (key.name === 'c' || key.name === 'd')) return { kind: 'quit' }
  if (mode.kind === 'browse') return browsing[key.name ?? ''] ?? browsing[text ?? ''] ?? { kind: 'none' }
  if (mode.kind === 'filter') return filterAction(mode.text, text, key)
  return text === 'y' || text === 'Y' ? { kind: 'do', what: mode.kind, grant: mode.grant } : { kind: 'cancel' }
}

function filterAction(typed: string, text: string | undefined, { name, ctrl }: Pick<Key, 'name' | 'ctrl'>): Action {
  if (name === 'return' || name === 'enter') return { kind: 'filter', text: typed, done: true }
  if (name === 'escape') return { kind: 'filter', text: '', done: true }
  if (name === 'backspace') return { kind: 'filter', text: typed.slice(0, -1), done: false }
  const isPrintable = !ctrl && text !== undefined && /^[\x20-\x7e]$/.test(text)
  return { kind: 'filter', text: isPrintable ? (typed + text).slice(0, longestFilter) : typed, done: false }
}
