/** All integration tests, on Debian's kernel with nft's own `queue` statement: npm run lab:all. */
import * as fs from 'node:fs'
import path from 'node:path'
import { dist } from '../support/commands.js'
import { obstacle } from './support/image.js'
import { confined, emulated, runJob } from './support/job.js'

const why = obstacle()
if (why !== undefined) {
  process.stderr.write(`pkctl lab: ${why}\n`)
  process.exit(1)
}

/** What has nothing to do with the kernel, and needs programs that the machine lacks. */
const elsewhere = ['completion', 'documents', 'import', 'manual', 'packages', 'provisioning']

const words = process.argv.slice(2)
const files = fs
  .readdirSync(path.join(dist, 'test/integration'))
  .filter(file => file.endsWith('.test.js') && !elsewhere.includes(path.basename(file, '.test.js')))
  .filter(file => words.length === 0 || words.some(word => file.includes(word)))
if (files.length === 0) {
  process.stderr.write(`pkctl lab: no integration test that is run here has ${words.join(' or ')} in its name\n`)
  process.exit(2)
}

process.stdout.write('This takes long; what has been done so far: tail -f build/lab/all/console\n')
const names = files.map(file => `integration/${file}`).join(' ')
const script = `${confined}\n${emulated} node scripts/run-tests.js ${names} > >(tee /dev/console) 2>&1`
const { status, stdout, stderr } = await runJob('all', script, 2 * 3600)
process.stdout.write(`${stdout}${stderr}`)
process.exitCode = status === 0 ? 0 : 1
