/** All integration tests, on Debian's kernel with nft's own `queue` statement: npm run lab:all. */
import { obstacle } from './support/image.js'
import { emulated, runJob } from './support/job.js'

const why = obstacle()
if (why !== undefined) {
  process.stderr.write(`pkctl lab: ${why}\n`)
  process.exit(1)
}

const hours = 2
process.stdout.write(`This takes up to an hour; what has been done so far: tail -f build/lab/all/console\n`)
const words = process.argv.slice(2)
const files = words.length > 0 ? words : ['integration/']
const script = `${emulated} node scripts/run-tests.js ${files.join(' ')} > >(tee /dev/console) 2>&1`
const { status, stdout, stderr } = await runJob('all', script, hours * 3600)
process.stdout.write(`${stdout}${stderr}`)
process.exitCode = status === 0 ? 0 : 1
