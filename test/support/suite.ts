/** The integration tests that depend on the kernel, and a copy of the project in which to run them elsewhere. */
import * as fs from 'node:fs'
import path from 'node:path'
import { dist, must, root } from './commands.js'

/** These have nothing to do with a kernel: `npm test` runs them. */
const elsewhere = [
  ...[
    'bans',
    'claim-model',
    'client',
    'clients',
    'client-ssh',
    'completion',
    'documents',
    'fleet',
    'fleet-claims',
    'fleet-engine',
    'fleet-faults',
    'import',
    'json',
    'manual',
    'metacharacters',
    'mistakes',
    'monitoring',
    'notify',
    'packages',
    'provisioning',
    'quick-start',
    'setup',
    'single-executable',
    'users',
    'watch',
  ],
]

/**
 * The names of those whose names contain one of the words; without words, of all. Large files, which take longest, come first, so
 * that those that run beside each other end at the same time.
 */
export function suite(words: readonly string[]): string[] {
  const folder = path.join(dist, 'test/integration')
  const size = (name: string) => fs.statSync(path.join(folder, `${name}.test.js`)).size
  return fs
    .readdirSync(folder)
    .flatMap(file => (file.endsWith('.test.js') ? [path.basename(file, '.test.js')] : []))
    .filter(name => !elsewhere.includes(name))
    .filter(name => words.length === 0 || words.some(word => name.includes(word)))
    .sort((a, b) => size(b) - size(a) || (a < b ? -1 : 1))
}

const copied = [
  'dist',
  'scripts',
  'templates',
  'docs',
  'README.md',
  'package.json',
  'package-lock.json',
  'test/vectors',
]

/** Copies what the tests need into a folder: the compiled project, its programs bundled, and the packages they load. */
export async function copyProject(folder: string): Promise<void> {
  for (const name of [...copied, ...(await productionPackages())]) {
    fs.cpSync(path.join(root, name), path.join(folder, name), { recursive: true })
  }
  const programs = path.join(folder, 'dist/bundle/cli')
  await must([process.execPath, path.join(root, 'scripts/bundle.js'), programs])
  await must([process.execPath, path.join(programs, 'compile.cjs')])
  // Some tests run pkctl as a user who is not root.
  fs.chmodSync(folder, 0o755)
}

/** The folders of the npm packages that the compiled project needs, relative to its root. */
export async function productionPackages(): Promise<string[]> {
  const listed = await must(['npm', 'ls', '--omit=dev', '--all', '--parseable'], { cwd: root })
  const prefix = root + path.sep
  return listed.split('\n').flatMap(line => (line.startsWith(prefix) ? [line.slice(prefix.length)] : []))
}
