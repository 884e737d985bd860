/** All integration tests, on Debian's kernel with nft's own `queue` statement: npm run lab:all. */
import { obstacle } from './support/image.js'
import { runSuite, suite } from './support/suite.js'

const why = obstacle()
if (why !== undefined) {
  process.stderr.write(`pkctl lab: ${why}\n`)
  process.exit(1)
}

const words = process.argv.slice(2)
const names = suite(words)
if (names.length === 0) {
  process.stderr.write(`pkctl lab: no integration test that is run here has ${words.join(' or ')} in its name\n`)
  process.exit(2)
}

process.stdout.write('This takes long; what has been done so far: tail -f build/lab/all/console\n')
const { status, stdout, stderr } = await runSuite(names, { logs: 'all', seconds: 2 * 3600 })
process.stdout.write(`${stdout}${stderr}`)
process.exitCode = status === 0 ? 0 : 1
