/** Text as lines of roff, the language of manual pages: man(7). */

/** A text as roff prints it just so; `-` as the character that can be pasted into a shell. */
export function plain(text: string): string {
  return (
    text
      .replaceAll('\\', '\\e')
      .replaceAll('-', '\\-')
      // A list in JSON is one long word, which may be broken after a comma.
      .replaceAll('","', '",\\:"')
      .replace(
        /[^\x20-\x7e]/gu,
        character => `\\[u${(character.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, '0')}]`,
      )
      .replace(/^[.']/, '\\&$&')
  )
}

export const bold = (text: string) => `\\fB${plain(text)}\\fR`
export const slanted = (text: string) => `\\fI${plain(text)}\\fR`

export const section = (name: string, ...lines: string[]) => [`.SH ${name}`, ...lines]
export const tagged = (tag: string, ...lines: string[]) => ['.TP', tag, ...lines]

/** Paragraphs; what is indented keeps its lines. */
export function prose(text: string): string[] {
  const lines: string[] = []
  let example = false
  for (const line of text.split('\n')) {
    const indented = line.startsWith('  ')
    if (indented !== example) lines.push(...(indented ? ['.PP', '.RS 4', '.nf'] : ['.fi', '.RE']))
    example = indented
    if (line.trim() === '') lines.push('.PP')
    else lines.push(plain(indented ? line.slice(2) : line))
  }
  if (example) lines.push('.fi', '.RE')
  return lines.filter((line, i) => line !== '.PP' || (lines[i + 1] !== undefined && lines[i + 1] !== '.PP'))
}

export const sentence = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`

/** `<file>` and `[name]` as people read them in manuals. */
export function placeholderText(text: string): string {
  return text.replace(/[<[\]>]|[^<[\]>]+/g, part =>
    /^[<>]$/.test(part) ? '' : /^[[\]]$/.test(part) ? part : slanted(part),
  )
}

export function page(...blocks: (string | readonly string[])[]): string {
  return `${blocks.flat().join('\n')}\n`
}
