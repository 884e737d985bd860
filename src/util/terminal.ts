/** The output of a command: results on stdout, everything else on stderr. cli/output/real-terminal.ts implements it. */
export interface Terminal {
  out(line: string): void
  error(message: string): void
  hint(message: string): void
  warn(message: string): void
  /** A line on stderr as it is. */
  errorLine(line: string): void
  strong(text: string): string
  /** A line of a difference: what is added, removed or changed. */
  difference(sign: '+' | '-' | '~', text: string): void
}
