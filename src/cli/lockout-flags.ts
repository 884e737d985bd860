import type { Command } from 'commander'

export function withLockoutFlags(command: Command): Command {
  return command
    .option('--allow-me', 'let the address of your ssh session in, by a grant without end')
    .option('--force', 'go on even if that cuts off your ssh session')
}
