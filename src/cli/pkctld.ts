#!/usr/bin/env node
/** `pkctl daemon` under the name that service managers and process lists know. */
import { main } from './program.js'
import { exitWith } from './output/exit-with.js'
import { realTerminal } from './output/real-terminal.js'

exitWith(main(['daemon', ...process.argv.slice(2)], realTerminal()))
