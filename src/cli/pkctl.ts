#!/usr/bin/env node
import { main } from './program.js'
import { realTerminal } from './output/real-terminal.js'

process.exitCode = await main(process.argv.slice(2), realTerminal())
