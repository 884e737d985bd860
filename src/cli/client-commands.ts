/** The commands of machines that knock and guard nothing, in the order of the help. */
import type { CommandTable } from './run-program.js'

const group = 'Client commands:'

export const clientCommands: CommandTable = {
  join: {
    group,
    summary: 'add the host entry of an invitation, and knock',
    load: async () => (await import('./commands/join.js')).joinCommand,
  },
  knock: {
    group,
    summary: 'knock at a server, and with --connect try the port',
    load: async () => (await import('./commands/knock.js')).knockCommand,
  },
  connect: {
    group,
    summary: "knock, connect, and relay: for ssh's ProxyCommand",
    load: async () => (await import('./commands/connect.js')).connectCommand,
  },
  keygen: {
    group,
    summary: 'make a key, and say where to put it',
    load: async () => (await import('./commands/keygen.js')).keygenCommand,
  },
  sequence: {
    group,
    summary: 'print the port sequences of a credential',
    load: async () => (await import('./commands/sequence.js')).sequenceCommand,
  },
}
