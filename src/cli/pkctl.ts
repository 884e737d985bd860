#!/usr/bin/env node
import { main } from './program.js'
import { exitWith } from './output/exit-with.js'
import { realTerminal } from './output/real-terminal.js'

exitWith(main(process.argv.slice(2), realTerminal()))
