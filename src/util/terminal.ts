/** What a command says, and where: results on stdout, all else on stderr. cli/terminal.ts has the real one. */
export interface Terminal {
  out(line: string): void
  error(message: string): void
  hint(message: string): void
  warn(message: string): void
  strong(text: string): string
  /** A line of a difference: what comes, goes, or changes. */
  difference(sign: '+' | '-' | '~', text: string): void
}
