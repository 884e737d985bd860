// Writes the manual pages into a folder: manual.js FOLDER [VERSION]. The date is that of SOURCE_DATE_EPOCH, or today.
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { commandTree } from '../dist/src/cli/help/command-tree.js'
import { createPktables } from '../dist/src/cli/pktables-program.js'
import { manualPages } from '../dist/src/cli/help/manual.js'
import { createProgram } from '../dist/src/cli/program.js'
import { realTerminal } from '../dist/src/cli/output/real-terminal.js'
import { version as ownVersion } from '../dist/src/cli/version.js'
import { hostEntryOptions } from '../dist/src/client/host-entry.js'
import { configJsonSchema } from '../dist/src/config/schema.js'

const [folder = 'build/man', version = ownVersion] = process.argv.slice(2)
if (folder.startsWith('-')) throw new Error('usage: manual.js FOLDER [VERSION]')
const epoch = process.env.SOURCE_DATE_EPOCH
const date = new Date(epoch === undefined ? Date.now() : Number(epoch) * 1000).toISOString().slice(0, 10)
const program = commandTree(await createProgram(realTerminal()))
const pktables = commandTree(createPktables(realTerminal()))
mkdirSync(folder, { recursive: true })
for (const [name, page] of Object.entries(
  manualPages({ program, pktables, schema: configJsonSchema(), hostOptions: hostEntryOptions(), version, date }),
)) {
  writeFileSync(path.join(folder, name), page)
}
