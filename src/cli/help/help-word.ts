/**
 * `help COMMAND`, as the line `COMMAND --help`. Commander answers `help user add` with the help of `user`, and `help` of a
 * command that does not exist with the help of the program and exit status 0.
 */
import type { Command } from 'commander'

/** A line that does not begin with `help`, or names no command, stays as it is. */
export function withoutHelpWord(program: Command, argv: readonly string[]): string[] {
  const [first, ...rest] = argv
  const words = rest.filter(word => !word.startsWith('-'))
  if (first !== 'help' || words.length === 0) return [...argv]
  let command = program
  for (const [i, word] of words.entries()) {
    // The arguments of a command that has no others.
    if (command.commands.length === 0) break
    const inner = command.commands.find(each => each.name() === word)
    // Without --help, commander reports the unknown command, and suggests another one.
    if (!inner) return words.slice(0, i + 1)
    command = inner
  }
  return [...words, '--help']
}
