import { Command } from 'commander'
import type { Terminal } from '../terminal.js'

export function knockCommand(terminal: Terminal): Command {
  return new Command('knock').action(() => {
    terminal.out('later')
  })
}
