/** The flags --allow-me, --for and --force; src/safety/guard-session.ts decides by them. */
import type { Command } from 'commander'
import { Option } from 'commander'
import { parseWindow } from '../../config/service-rules.js'

export function withLockoutFlags(command: Command): Command {
  return command
    .option('--allow-me', 'grant the address of your ssh session access')
    .addOption(forFlag())
    .option('--force', 'continue even if that ends your ssh session')
}

export const forFlag = (): Option =>
  new Option('--for <time>', 'how long --allow-me grants access (default: without a time limit)').argParser(parseWindow)
