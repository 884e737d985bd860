import * as fs from 'node:fs'
import path from 'node:path'
import { must, root } from './commands.js'

const versionIn = (file: string) =>
  (JSON.parse(fs.readFileSync(path.join(root, file), 'utf8')) as { version: string }).version

/** That of the project, which packages have if nothing else is said. */
export const version = versionIn('package.json')
/** That of the Node.js in packages. */
export const runtimeVersion = versionIn('templates/packages/runtime.json')

/** Node.js is 120 MB in each package. */
export const buildMilliseconds = 300_000
/** Less compression, for all that is not about the bytes. */
export const fastBuild = { PKCTL_PACKAGE_FAST: '1' }

/** A folder of packages that are built for a test. */
export class Packages {
  readonly directory = fs.mkdtempSync('/tmp/pkctl-packages-')

  readonly deb = (architecture: string, of = version) => path.join(this.directory, `pkctl_${of}_${architecture}.deb`)
  readonly rpm = (architecture: string) => path.join(this.directory, `pkctl-${version}-1.${architecture}.rpm`)

  async build(formats: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<void> {
    await must(['bash', path.join(root, 'scripts/build-packages.sh'), this.directory, ...formats], {
      env: { ...fastBuild, ...env },
      milliseconds: buildMilliseconds,
    })
  }

  remove(): void {
    fs.rmSync(this.directory, { recursive: true })
  }
}
