/** Suggestions for words that were mistyped. */

const longestSuggestion = 40

/** The known word that `word` was probably meant to be. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length > longestSuggestion) return undefined
  const allowed = Math.max(1, Math.floor(word.length / 3))
  const ranked = known
    .map(one => ({ one, distance: editDistance(word.toLowerCase(), one) }))
    .filter(({ distance }) => distance <= allowed)
    .sort((a, b) => a.distance - b.distance)
  return ranked[0]?.one
}

/** How many characters are inserted, deleted or replaced, or exchanged with the next one. */
function editDistance(a: string, b: string): number {
  let earlier: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let k = 1; k <= b.length; k++) {
      const replaced = (row[k - 1] ?? 0) + (a[i - 1] === b[k - 1] ? 0 : 1)
      const isExchanged = i > 1 && k > 1 && a[i - 1] === b[k - 2] && a[i - 2] === b[k - 1]
      const exchanged = isExchanged ? (earlier[k - 2] ?? 0) + 1 : Infinity
      next.push(Math.min(replaced, exchanged, (row[k] ?? 0) + 1, (next[k - 1] ?? 0) + 1))
    }
    earlier = row
    row = next
  }
  return row[b.length] ?? 0
}
