// Writes what a package contains, as CycloneDX (https://cyclonedx.org/docs/1.5/json/): sbom.js FILE VERSION CPU. It is what npm
// knows from package-lock.json, for one CPU as npm names it, and the Node.js of templates/packages/runtime.json. The same
// source and SOURCE_DATE_EPOCH give the same bytes, so there is no serial number.
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const root = path.join(import.meta.dirname, '..')
const [file, version, cpu] = process.argv.slice(2)
if (cpu === undefined) throw new Error('sbom.js FILE VERSION CPU')

// With --omit=dev, npm leaves out what packages for development need as well.
const lockOnly = ['sbom', '--package-lock-only', '--sbom-format=cyclonedx']
const options = { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }
const bom = JSON.parse(execFileSync('npm', lockOnly, options))
delete bom.serialNumber

/** ffi-rs has one package for each machine; packages of types are for the compiler alone. */
const packed = name =>
  !name.startsWith('@types/') && (!name.startsWith('@yuuang/') || name === `@yuuang/ffi-rs-linux-${cpu}-gnu`)
const development = ({ properties = [] }) => properties.some(({ name }) => name === 'cdx:npm:package:development')
const others = new Set(
  bom.components.filter(one => development(one) || !packed(one.name)).map(component => component['bom-ref']),
)

const { version: node } = JSON.parse(readFileSync(path.join(root, 'templates/packages/runtime.json'), 'utf8'))
const runtime = {
  'bom-ref': `node@${node}`,
  type: 'platform',
  name: 'node',
  version: node,
  scope: 'required',
  purl: `pkg:generic/node@${node}`,
  licenses: [{ license: { id: 'MIT' } }],
  externalReferences: [{ type: 'website', url: 'https://nodejs.org/' }],
}

const { component } = bom.metadata
// npm names itself by the folder of the project.
const own = {
  ...component,
  'bom-ref': `pkctl@${version}`,
  name: 'pkctl',
  version,
  purl: `pkg:generic/pkctl@${version}`,
  properties: undefined,
}
const kept = refs => refs.filter(ref => !others.has(ref))
const dependencies = bom.dependencies
  .filter(({ ref }) => !others.has(ref))
  .map(({ ref, dependsOn = [] }) =>
    ref === component['bom-ref']
      ? { ref: own['bom-ref'], dependsOn: [...kept(dependsOn), runtime['bom-ref']] }
      : { ref, dependsOn: kept(dependsOn) },
  )
const made = {
  ...bom,
  metadata: {
    ...bom.metadata,
    timestamp: new Date(Number(process.env.SOURCE_DATE_EPOCH) * 1000).toISOString(),
    component: own,
  },
  components: [...bom.components.filter(one => !others.has(one['bom-ref'])), runtime],
  dependencies: [...dependencies, { ref: runtime['bom-ref'], dependsOn: [] }],
}
writeFileSync(file, `${JSON.stringify(made, undefined, 2)}\n`)
