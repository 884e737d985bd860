// Puts the client's commands and Node.js into one file that needs nothing else: single-executable.js FILE. It is made of the
// compiled project, for the machine and with the Node.js that this runs on, as a single executable application of Node.js.
// The same source and the same Node.js give the same bytes.
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { inject } from 'postject'
import { rolldown } from 'rolldown'
import ts from 'typescript'

const root = path.join(import.meta.dirname, '..')
/** Node.js looks for it in itself, and for the section: https://nodejs.org/api/single-executable-applications.html. */
const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'
const section = 'NODE_SEA_BLOB'

const [target] = process.argv.slice(2)
if (target === undefined) throw new Error('single-executable.js FILE')

/** There is no package.json beside the executable. */
const withVersion = {
  name: 'version',
  load(id) {
    if (!id.endsWith('/dist/src/cli/version.js')) return null
    const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
    return `export const version = ${JSON.stringify(version)}`
  },
}

/** It has no libraries beside it. Throws when a command needs the file, and not before. */
const withoutNativeCalls = {
  name: 'native-calls',
  load: id =>
    id.endsWith('/dist/src/client/native-calls.js')
      ? "throw new Error('this program does not have it')\nexport default null"
      : null,
}

/** Node.js runs a CommonJS script from an executable alone, and that has no `await` outside of functions. */
function asFunction(modules) {
  const { outputText } = ts.transpileModule(modules, {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2023 },
  })
  // Only modules have a URL; the bundle loads what is built into Node.js by it.
  return `(async () => {${outputText.replaceAll('import.meta.url', '"file:///pkctl"')}\n})()`
}

const folder = mkdtempSync(path.join(tmpdir(), 'pkctl-executable-'))
try {
  const input = path.join(root, 'dist/src/cli/pkctl-client.js')
  const bundle = await rolldown({ input, platform: 'node', plugins: [withVersion, withoutNativeCalls] })
  const { output } = await bundle.generate({ format: 'esm', codeSplitting: false, minify: true })
  await bundle.close()
  writeFileSync(path.join(folder, 'pkctl.cjs'), asFunction(output[0].code))
  const config = { main: 'pkctl.cjs', output: 'blob', disableExperimentalSEAWarning: true }
  writeFileSync(path.join(folder, 'sea.json'), JSON.stringify(config))
  // Without a path, because the blob contains the name of the file.
  execFileSync(process.execPath, ['--experimental-sea-config', 'sea.json'], { cwd: folder, stdio: 'pipe' })
  const made = path.join(folder, 'pkctl')
  copyFileSync(process.execPath, made)
  chmodSync(made, 0o755)
  await inject(made, section, readFileSync(path.join(folder, 'blob')), { sentinelFuse: fuse })
  copyFileSync(made, target)
} finally {
  rmSync(folder, { recursive: true })
}
