#!/usr/bin/env node
/** The commands of knockd's configurations: see docs/pktables.md. */
import { createPktables } from './commands/pktables.js'
import { runProgram } from './program.js'
import { realTerminal } from './terminal.js'

const terminal = realTerminal('pktables')
const [command = 'help', ...rest] = process.argv.slice(2)
process.exitCode = await runProgram(createPktables(terminal), [command, ...rest], terminal)
