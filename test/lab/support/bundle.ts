/** The programs as one file each, but for what they load later. */
import path from 'node:path'
import { rolldown } from 'rolldown'
import { dist } from '../../support/commands.js'

const programs = ['pkctl', 'pkctld', 'pktables', 'packetworker', 'rollbackprocess']

/**
 * Puts them into `folder`, a copy of dist/src/cli, in place of those that tsc made. Two hundred small files, most of them
 * of libraries, are what a start in an emulated machine is waited for.
 */
export async function bundlePrograms(folder: string): Promise<void> {
  const bundle = await rolldown({
    input: Object.fromEntries(programs.map(name => [name, path.join(dist, 'src/cli', `${name}.js`)])),
    platform: 'node',
    external: 'ffi-rs',
  })
  try {
    await bundle.write({ dir: folder, format: 'esm', chunkFileNames: 'part-[name]-[hash].js' })
  } finally {
    await bundle.close()
  }
}
