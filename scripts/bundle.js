// Puts the programs into FOLDER, which must be as deep in the project as dist/src/cli, as one file each, but for what they load later:
// bundle.js FOLDER. Two hundred small files, most of them of libraries, take longer to load than most commands take to run.
import path from 'node:path'
import { rolldown } from 'rolldown'

const programs = [
  'cli/pkctl',
  'cli/pkctld',
  'cli/pktables',
  'daemon/packet-worker',
  'daemon/signature-worker',
  'safety/rollback-process',
]
const source = path.join(import.meta.dirname, '../dist/src')

const [folder] = process.argv.slice(2)
if (folder === undefined) throw new Error('bundle.js FOLDER')
const bundle = await rolldown({
  input: Object.fromEntries(programs.map(name => [path.basename(name), path.join(source, `${name}.js`)])),
  platform: 'node',
  external: 'ffi-rs',
})
await bundle.write({ dir: folder, format: 'esm', chunkFileNames: 'part-[name]-[hash].js' })
await bundle.close()
