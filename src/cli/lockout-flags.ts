import type { Command } from 'commander'

export function withLockoutFlags(command: Command): Command {
  return command
    .option('--allow-me', 'grant the address of your ssh session access, without a time limit')
    .option('--force', 'continue even if that ends your ssh session')
}
