/** Help texts at the width of the terminal. In the source, their sentences fill lines of up to `written` characters. */

const written = 125

/** Lines that begin with a space, as examples do, stay as they are. */
export function wrapHelp(text: string, columns: number): string {
  const lines: string[] = []
  let continues = false
  for (const line of text.split('\n')) {
    const last = lines.at(-1)
    if (continues && last !== undefined && isSentence(line)) lines[lines.length - 1] = `${last} ${line}`
    else lines.push(line)
    continues = isSentence(line) && line.length > columns && isFull(line, text)
  }
  return lines.flatMap(line => (isSentence(line) && line.length > columns ? broken(line, columns) : [line])).join('\n')
}

const isSentence = (line: string) => /^\S/.test(line)

/** Whether the next word had no room in the line, so that the sentence goes on below it. */
function isFull(line: string, text: string): boolean {
  const next = /^\S+/.exec(text.slice(text.indexOf(line) + line.length + 1))?.[0] ?? ''
  return next !== '' && line.length + 1 + next.length > written - 5
}

function broken(line: string, columns: number): string[] {
  const lines: string[] = []
  for (const word of line.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= columns) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}
