/**
 * Where secrets can stand in a YAML file, found by its text alone: a file that is not YAML has them, too. What stands
 * there is never quoted in a message, also when YAML takes a part of it for a key, a tag or an alias.
 */

/** Whether a secret can stand at this line and column, which count from 1. */
export type SecretPlaces = (line: number, column: number) => boolean

/** `secrets` are the options whose values are secret, `options` all that an entry with secrets can have. */
export function secretPlaces(text: string, secrets: readonly string[], options: readonly string[]): SecretPlaces {
  // With or without the space after the colon: where it is missing, the secret is part of the key.
  const secret = new RegExp(`(?<![\\w-])(["']?)(?:${secrets.join('|')})\\1[ \\t]*:`, 'g')
  const option = `(["']?)(?:${options.join('|')})\\1[ \\t]*:`
  const next = new RegExp(`[,{][ \\t]*${option}`, 'g')
  const startsOption = new RegExp(`^[ \\t,{-]*${option}`)
  const places = new Map<number, { from: number; to: number }[]>()
  let continues = -1
  for (const [i, line] of text.split('\n').entries()) {
    const indent = line.search(/[^ \t\r]/)
    const ranges: { from: number; to: number }[] = []
    if (continues >= 0 && indent >= 0) {
      if (indent > continues && !startsOption.test(line)) ranges.push({ from: 1, to: Infinity })
      else continues = -1
    }
    for (const { index, 0: key } of line.matchAll(secret)) {
      const start = index + key.length
      const isPartOfKey = /\S/.test(line.charAt(start))
      next.lastIndex = start
      const end = next.exec(line)?.index ?? line.length
      ranges.push({ from: (isPartOfKey ? index : start) + 1, to: end < line.length ? end : Infinity })
      if (end === line.length) continues = indent
    }
    if (ranges.length > 0) places.set(i + 1, ranges)
  }
  return (line, column) => places.get(line)?.some(({ from, to }) => column >= from && column <= to) ?? false
}

/** `message` without what it quotes of a place with secrets. */
export const withoutQuotes = (message: string): string =>
  message.replace(/'.*'/s, '(not shown: it can be part of a secret)')
