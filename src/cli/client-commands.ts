/** The commands of machines that knock and guard nothing, in the order of the help. */
import type { CommandLoaders } from './run-program.js'

export const clientCommands: CommandLoaders = {
  knock: async () => (await import('./commands/knock.js')).knockCommand,
  connect: async () => (await import('./commands/connect.js')).connectCommand,
  join: async () => (await import('./commands/join.js')).joinCommand,
  keygen: async () => (await import('./commands/keygen.js')).keygenCommand,
  sequence: async () => (await import('./commands/sequence.js')).sequenceCommand,
}
