/**
 * Users in the text of an authorized_keys file: one line each, whose comment is the name of the user. What others have
 * written there stays as it is.
 */
import type { AuthorizedKey, KeyProblem, KeyText, SshPublicKey } from '../knock/openssh/index.js'
import { parseAuthorizedKeys, readKeyText } from '../knock/openssh/index.js'
import { quote, UserError } from '../util/index.js'

/** What is asked for with a new user; undefined for what the credential says. */
interface UserOptions {
  readonly opens: readonly string[] | undefined
  /** Seconds. */
  readonly window: number | undefined
  /** Unix seconds: the last one at which the key is accepted. */
  readonly expiresAt: number | undefined
}

export interface NewUser extends UserOptions {
  readonly name: string
  readonly key: KeyText
  /** More options, as another authorized_keys file has them before the key. */
  readonly restrictions?: string
}

export interface UserLine extends AuthorizedKey {
  /** As it is written. */
  readonly text: string
}

interface UserLines {
  readonly users: readonly UserLine[]
  readonly problems: readonly KeyProblem[]
}

/** As ssh prints it. */
export const fingerprintText = ({ fingerprint }: Pick<SshPublicKey, 'fingerprint'>): string =>
  `SHA256:${fingerprint.toString('base64').replace(/=+$/, '')}`

export function readUsers(text: string, file: string): UserLines {
  const lines = text.split('\n')
  const { entries, problems } = parseAuthorizedKeys(text, file)
  return { users: entries.map(entry => ({ ...entry, text: (lines[entry.line - 1] ?? '').trim() })), problems }
}

/** The text with the line of the user; undefined where it is there already. Throws a UserError where another one is. */
export function withUser(text: string, file: string, user: NewUser): string | undefined {
  const { users } = readUsers(text, file)
  const sameName = users.filter(({ comment }) => comment === user.name)
  const sameKey = users.find(({ key }) => key.blob.equals(user.key.blob))
  const same = sameName.find(({ key }) => key.blob.equals(user.key.blob))
  if (same) {
    if (hasOptions(same, user)) return undefined
    throw new UserError(
      `${user.name} has this key already, with other options: line ${same.line} of ${file}`,
      `pkctl user revoke ${user.name}, and add the user again; or change the line`,
    )
  }
  if (sameName[0])
    throw new UserError(
      `${user.name} has another key already: line ${sameName[0].line} of ${file}`,
      `take another name for a second key, or pkctl user revoke ${user.name} for the old one`,
    )
  if (sameKey) {
    const whose = sameKey.comment === '' ? 'another line' : quote(sameKey.comment)
    throw new UserError(`the key is that of ${whose} already: line ${sameKey.line} of ${file}`)
  }
  const start = text === '' || text.endsWith('\n') ? text : `${text}\n`
  return `${start}${lineOf(user)}\n`
}

/** The text without the lines of the user, and what they were. */
export function withoutUser(text: string, file: string, name: string): { text: string; removed: readonly UserLine[] } {
  const removed = readUsers(text, file).users.filter(({ comment }) => comment === name)
  const numbers = new Set(removed.map(({ line }) => line))
  return {
    text: text
      .split('\n')
      .filter((_, i) => !numbers.has(i + 1))
      .join('\n'),
    removed,
  }
}

function hasOptions(line: UserLine, user: UserOptions): boolean {
  return (
    (line.opens ?? []).join() === (user.opens ?? []).join() &&
    (line.window ?? undefined) === user.window &&
    (line.expiresAt ?? undefined) === user.expiresAt
  )
}

function lineOf({ name, key, opens, window, expiresAt, restrictions = '' }: NewUser): string {
  const options = [
    ...(restrictions === '' ? [] : [restrictions]),
    ...(opens === undefined ? [] : [`opens="${opens.join(',')}"`]),
    ...(window === undefined ? [] : [`window="${window}s"`]),
    ...(expiresAt === undefined ? [] : [`expiry-time="${expiryText(expiresAt)}"`]),
  ]
  return [...(options.length > 0 ? [options.join(',')] : []), keyText(key, name)].join(' ')
}

/** The key without options, as a `.pub` file has it. */
export const keyText = ({ type, blob }: Pick<KeyText, 'type' | 'blob'>, name: string): string =>
  `${type} ${blob.toString('base64')} ${name}`

/** The options before the key, as they are written; empty where there are none. */
export function optionsText({ text, key }: Pick<UserLine, 'text' | 'key'>): string {
  const words = [...text.matchAll(/(?<=^|[ \t])\S+/g)]
  const start = words.find(({ index }) => readKeyText(text.slice(index))?.blob.equals(key.blob))?.index ?? 0
  return text.slice(0, start).trim()
}

/** In UTC. */
const expiryText = (seconds: number) =>
  new Date(seconds * 1000)
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replace(/[-:T]/g, '')
