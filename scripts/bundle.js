// Puts the programs into FOLDER, which must be as deep in the project as dist/src/cli, as a few files each: bundle.js FOLDER.
// Two hundred small files, most of them of libraries, take longer to load than most commands take to run, and CommonJS loads
// faster than modules do. Only the code of CommonJS can be compiled in advance: see bundle/load.cjs.
import { copyFileSync, mkdirSync, rmSync, readFileSync, writeFileSync } from 'node:fs'
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
/** Its library for the machine is beside it. */
const external = 'ffi-rs'
const parts = path.join(import.meta.dirname, 'bundle')

const [folder] = process.argv.slice(2)
if (folder === undefined) throw new Error('bundle.js FOLDER')

/** CommonJS has no `await` outside of functions, and can load the options of all types of credentials at once. */
const withLoadedTypes = {
  name: 'loaded-types',
  async load(id) {
    if (!id.endsWith('/credentials/loaded-types.js')) return null
    const { credentialTypes } = await import(path.join(source, 'config/credentials/credential-types.js'))
    const files = credentialTypes.map(({ options }) => /import\('(.+)'\)/.exec(String(options))[1])
    return [
      ...files.map((file, i) => `import { kind as kind${i} } from '${file}'`),
      `export const loadedTypes = [`,
      ...credentialTypes.map(({ type }, i) => `  { type: '${type}', kind: kind${i} },`),
      `]`,
    ].join('\n')
  },
}

/** What starts a program is a file of its own. */
const withoutInterpreter = { name: 'interpreter', transform: code => code.replace(/^#!.*/, '') }

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
const bundle = await rolldown({
  input: Object.fromEntries(programs.map(name => [path.basename(name), path.join(source, `${name}.js`)])),
  platform: 'node',
  external,
  plugins: [withLoadedTypes, withoutInterpreter],
  onLog: (level, log, next) => {
    // As a warning, it would be an error of the programs.
    if (log.code === 'UNRESOLVED_IMPORT') throw new Error(log.message)
    next(level, log)
  },
})
const { output } = await bundle.write({
  dir: folder,
  format: 'cjs',
  entryFileNames: 'main-[name]-[hash].cjs',
  chunkFileNames: 'part-[name]-[hash].cjs',
})
await bundle.close()
for (const { fileName, code } of output) {
  // A script has no `import`; what is in the bundle becomes `require`.
  if (code.includes(`import("${external}")`))
    throw new Error(`${fileName} imports ${external} when needed: see native-calls.ts`)
}
const mainOf = name => output.find(file => file.isEntry && file.name === name).fileName
for (const name of programs.map(program => path.basename(program))) {
  const start = `#!/usr/bin/env node\nrequire('./load.cjs').load('${mainOf(name)}')\n`
  writeFileSync(path.join(folder, `${name}.js`), start, { mode: 0o755 })
}
writeFileSync(path.join(folder, 'package.json'), '{ "type": "commonjs" }\n')
copyFileSync(path.join(parts, 'load.cjs'), path.join(folder, 'load.cjs'))
const compile = readFileSync(path.join(parts, 'compile.cjs'), 'utf8')
writeFileSync(path.join(folder, 'compile.cjs'), compile.replace('MAIN', mainOf('pkctl')))
