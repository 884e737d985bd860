/** The programs as one file each, but for what they load later. */
import path from 'node:path'
import { rolldown } from 'rolldown'
import { dist } from './commands.js'

const programs = ['cli/pkctl', 'cli/pkctld', 'cli/pktables', 'daemon/packet-worker', 'safety/rollback-process']

/**
 * Puts them into `folder`, a copy of dist/src/cli, in place of those that tsc made. Two hundred small files, most of them
 * of libraries, are what a start in an emulated machine is waited for.
 */
export async function bundlePrograms(folder: string): Promise<void> {
  const bundle = await rolldown({
    input: Object.fromEntries(programs.map(name => [path.basename(name), path.join(dist, 'src', `${name}.js`)])),
    platform: 'node',
    external: 'ffi-rs',
  })
  try {
    await bundle.write({ dir: folder, format: 'esm', chunkFileNames: 'part-[name]-[hash].js' })
  } finally {
    await bundle.close()
  }
}
