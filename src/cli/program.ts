/** The command line as a whole: names and help. */
import type { Command } from 'commander'
import type { Terminal } from '../util/index.js'
import { clientCommands } from './client-commands.js'
import type { CommandLoaders } from './run-program.js'
import { newProgram, runProgram } from './run-program.js'

const help = `
Examples:
  pkctl setup                             close the ssh port, step by step
  pkctl init ssh --port 22 --syn          close port 22 for all but those who knock
  pkctl add 192.0.2.7 --service ssh --for 8h
  pkctl list ssh                          which sources have access, and for how long
  pkctl knock server.example --tag SSHK --key-file ~/.config/pkctl/key --connect 22

Exit status: 0 done, or nothing to do; 1 failed; 2 wrong usage.
pkctl(1) closes ports by nftables; pkctld(8), or pkctl daemon, listens for knocks.`

/**
 * In the order of the help. Loaded one by one: cron and knockd call one command at a time, and most need little of what
 * the others do.
 */
const commands: CommandLoaders = {
  setup: async () => (await import('./commands/setup.js')).setupCommand,
  init: async () => (await import('./commands/init.js')).initCommand,
  remove: async () => (await import('./commands/remove.js')).removeCommand,
  apply: async () => (await import('./commands/apply.js')).applyCommand,
  confirm: async () => (await import('./commands/confirm.js')).confirmCommand,
  rollback: async () => (await import('./commands/rollback.js')).rollbackCommand,
  add: async () => (await import('./commands/add.js')).addCommand,
  delete: async () => (await import('./commands/delete.js')).deleteCommand,
  list: async () => (await import('./commands/list.js')).listCommand,
  status: async () => (await import('./commands/status.js')).statusCommand,
  watch: async () => (await import('./commands/watch.js')).watchCommand,
  log: async () => (await import('./commands/log.js')).logCommand,
  ...clientCommands,
  user: async () => (await import('./commands/user.js')).userCommand,
  invite: async () => (await import('./commands/invite.js')).inviteCommand,
  daemon: async () => (await import('./commands/daemon.js')).daemonCommand,
  reload: async () => (await import('./commands/reload.js')).reloadCommand,
  check: async () => (await import('./commands/check.js')).checkCommand,
  import: async () => (await import('./commands/import.js')).importCommand,
  doctor: async () => (await import('./commands/doctor.js')).doctorCommand,
  explain: async () => (await import('./commands/explain.js')).explainCommand,
  close: async () => (await import('./commands/close.js')).closeCommand,
  completion: async () => (await import('./commands/completion.js')).completionCommand,
}

/** The program with the command that a line begins with; with all of them for every other line, such as `--help`. */
export const createProgram = (terminal: Terminal, first = ''): Promise<Command> =>
  newProgram({ commands, help, terminal, first })

/** Runs one command line, without the program's own name, and resolves to the exit status. */
export async function main(argv: readonly string[], terminal: Terminal): Promise<number> {
  const line = argv.length === 0 ? ['status'] : argv
  return runProgram(speaker => createProgram(speaker, line[0]), line, terminal)
}
