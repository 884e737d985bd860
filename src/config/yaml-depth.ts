/** How deep a YAML file is nested, found by its text alone: the parser must not see what it cannot survive. */

// The parser recurses: at some depth Node would run out of stack, and then it may abort instead of throwing.
const maxDepth = 200
const tooDeepIndent = /^[ \t\-?:]{200}/m
/** Brackets, and what nests values in one line, as in `a: b: c` and `- - a`; between brackets, a comma ends it. */
const marks = /[[\]{},]|[-?:](?=\s|$)/g
/** Or of a text in block style or in quotes, which does not nest either. */
const commentLine = /^\s*#/

/**
 * Whether the text is nested so deeply that the parser could fail on it. Too many brackets in quotes and behind values count
 * as well, and do not matter; lines of comments do not, because imports write as many as they have something to say.
 */
export function isTooDeep(text: string): boolean {
  if (tooDeepIndent.test(text)) return true
  let brackets = 0
  for (const line of text.split('\n').filter(one => !commentLine.test(one))) {
    let inLine = 0
    for (const [mark] of line.matchAll(marks)) {
      if (mark === '[' || mark === '{') brackets++
      else if (mark === ']' || mark === '}') brackets = Math.max(0, brackets - 1)
      else if (mark === ',') inLine = brackets > 0 ? 0 : inLine
      else inLine++
      if (brackets > maxDepth || inLine > maxDepth) return true
    }
  }
  return false
}
