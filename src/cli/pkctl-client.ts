/** The commands of clients alone: scripts/single-executable.js puts them into one file with Node.js. */
import { clientCommands } from './client-commands.js'
import { newProgram, runProgram } from './run-program.js'
import { exitWith } from './output/exit-with.js'
import { realTerminal } from './output/real-terminal.js'

const help = `
Examples:
  pkctl knock server.example --tag SSHK --key-file ~/.config/pkctl/key --connect 22
  ssh -o ProxyCommand='pkctl connect %h %p' home

Exit status: 0 done; 1 failed; 2 wrong usage.
This program has the commands of clients alone.`

const argv = process.argv.slice(2)
const line = argv.length === 0 ? ['--help'] : argv
exitWith(runProgram(terminal => newProgram({ commands: clientCommands, help, terminal, line }), line, realTerminal()))
