#!/usr/bin/env node
/** The commands of knockd's configurations: see docs/pktables.md. */
import { createPktables } from './pktables-program.js'
import { runProgram } from './run-program.js'
import { exitWith } from './output/exit-with.js'
import { realTerminal } from './output/real-terminal.js'

const [command = 'help', ...rest] = process.argv.slice(2)
exitWith(runProgram(createPktables, [command, ...rest], realTerminal('pktables')))
