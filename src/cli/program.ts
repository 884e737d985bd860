/** The command line as a whole: names and help. */
import type { Command } from 'commander'
import type { Terminal } from '../util/index.js'
import { clientCommands } from './client-commands.js'
import type { CommandTable } from './run-program.js'
import { newProgram, otherGroup, runProgram } from './run-program.js'

const help = `
Examples:
  pkctl setup                       close the ssh port, step by step
  pkctl init ssh --port 22 --syn    close port 22 for all but those who knock
  pkctl add 192.0.2.7 --service ssh --for 8h
  pkctl list ssh                    which sources have access, and for how long
  pkctl knock home --connect 22     knock at a host of hosts.yaml, and try ssh

Exit status: 0 done, or nothing to do; 1 failed; 2 wrong usage.
pkctl(1), pkctld(8), and docs/README.md have more.`

const services = 'Services and grants:'
const daemon = 'Daemon and users:'
const moving = 'Moving from other systems:'

/**
 * In the order of the help. Loaded one by one: cron and knockd call one command at a time, and most need little of what
 * the others do.
 */
const commands: CommandTable = {
  setup: {
    group: services,
    summary: 'close a port step by step: asks at most four questions',
    load: async () => (await import('./commands/setup.js')).setupCommand,
  },
  init: {
    group: services,
    summary: 'close a port to all sources without a grant',
    load: async () => (await import('./commands/init.js')).initCommand,
  },
  remove: {
    group: services,
    summary: 'remove a service: its port is open to everyone again',
    load: async () => (await import('./commands/remove.js')).removeCommand,
  },
  apply: {
    group: services,
    summary: 'make the services in the kernel what the configuration says',
    load: async () => (await import('./commands/apply.js')).applyCommand,
  },
  confirm: {
    group: services,
    summary: 'keep a change that waits to be confirmed',
    load: async () => (await import('./commands/confirm.js')).confirmCommand,
  },
  rollback: {
    group: services,
    summary: 'undo a change that waits to be confirmed',
    load: async () => (await import('./commands/rollback.js')).rollbackCommand,
  },
  add: {
    group: services,
    summary: 'grant an address access',
    load: async () => (await import('./commands/add.js')).addCommand,
  },
  delete: {
    group: services,
    summary: 'revoke the grants of an address for a service',
    load: async () => (await import('./commands/delete.js')).deleteCommand,
  },
  revoke: {
    group: services,
    summary: 'revoke what an address or a credential has',
    load: async () => (await import('./commands/revoke.js')).revokeCommand,
  },
  list: {
    group: services,
    summary: 'show services and grants',
    load: async () => (await import('./commands/list.js')).listCommand,
  },
  watch: {
    group: services,
    summary: 'show services, grants and knocks as they change',
    load: async () => (await import('./commands/watch.js')).watchCommand,
  },
  daemon: {
    group: daemon,
    summary: 'listen for knocks, and grant access: also pkctld',
    load: async () => (await import('./commands/daemon.js')).daemonCommand,
  },
  status: {
    group: daemon,
    summary: 'show the state of the daemon',
    load: async () => (await import('./commands/status.js')).statusCommand,
  },
  log: {
    group: daemon,
    summary: 'show the last knocks and changes',
    load: async () => (await import('./commands/log.js')).logCommand,
  },
  doctor: {
    group: daemon,
    summary: 'look for errors and risks on this machine',
    load: async () => (await import('./commands/doctor.js')).doctorCommand,
  },
  explain: {
    group: daemon,
    summary: 'say whether an address has access, and why',
    load: async () => (await import('./commands/explain.js')).explainCommand,
  },
  check: {
    group: daemon,
    summary: 'validate the configuration, and change nothing',
    load: async () => (await import('./commands/check.js')).checkCommand,
  },
  reload: {
    group: daemon,
    summary: 'make the daemon read its configuration again',
    load: async () => (await import('./commands/reload.js')).reloadCommand,
  },
  close: {
    group: daemon,
    summary: 'close the ports without the daemon, as at boot',
    load: async () => (await import('./commands/close.js')).closeCommand,
  },
  fleet: {
    group: daemon,
    summary: 'show the servers that share grants with this one',
    load: async () => (await import('./commands/fleet.js')).fleetCommand,
  },
  user: {
    group: daemon,
    summary: 'manage the users who knock with SSH keys',
    load: async () => (await import('./commands/user.js')).userCommand,
  },
  invite: {
    group: daemon,
    summary: 'print the line by which a client can knock here',
    load: async () => (await import('./commands/invite.js')).inviteCommand,
  },
  ...clientCommands,
  import: {
    group: moving,
    summary: 'print the configuration of another system as one of pkctl',
    load: async () => (await import('./commands/import.js')).importCommand,
  },
  completion: {
    group: otherGroup,
    summary: 'print what lets a shell complete commands',
    load: async () => (await import('./commands/completion.js')).completionCommand,
  },
}

/** The program for a line, or with all commands. */
export const createProgram = (terminal: Terminal, line?: readonly string[]): Promise<Command> =>
  newProgram({ commands, help, terminal, line })

/** Runs one command line, without the program's own name, and resolves to the exit status. */
export async function main(argv: readonly string[], terminal: Terminal): Promise<number> {
  const line = argv.length === 0 ? ['status'] : argv
  return runProgram(speaker => createProgram(speaker, line), line, terminal)
}
