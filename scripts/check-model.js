// Searches test/model/claim.pml with spin as a whole, and with each fault that it names, which must be found. Ends with 1
// where that is not so, and with 0 and a sentence where spin or gcc is not there.
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

const model = 'test/model/claim.pml'
const has = program => spawnSync(program, ['-V']).error === undefined
const missing = ['spin', 'gcc'].filter(program => !has(program))
if (missing.length > 0) {
  console.log(`skipped: the model needs ${missing.join(' and ')}; apt-get install spin gcc libc6-dev`)
  process.exit(0)
}
const faults = [...readFileSync(model, 'utf8').matchAll(/^ \* {3}([A-Z_]+) /gm)].map(([, name]) => name)

function run(program, args, cwd) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, encoding: 'utf8', maxBuffer: 2 ** 26 })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stdout + stderr}`)
  return stdout
}

/** Whether an assertion can fail, and how many states were searched. */
function search(fault) {
  const directory = mkdtempSync(path.join(tmpdir(), 'pkctl-model-'))
  try {
    copyFileSync(model, path.join(directory, 'claim.pml'))
    run('spin', [...(fault ? [`-D${fault}`] : []), '-a', 'claim.pml'], directory)
    run('gcc', ['-w', '-O2', '-DSAFETY', '-DCOLLAPSE', '-o', 'pan', 'pan.c'], directory)
    const output = run('./pan', ['-m100000'], directory)
    const states = /(\d+(?:\.\d+)?(?:e\+\d+)?) states, stored/.exec(output)?.[1]
    const errors = /errors: (\d+)/.exec(output)?.[1]
    const isWhole =
      states !== undefined && errors !== undefined && !/max search depth too small|out of memory/.test(output)
    if (!isWhole) throw new Error(`not all states were searched:\n${output}`)
    return { isWrong: errors !== '0', states }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

if (faults.length === 0) throw new Error(`${model} names no faults`)
for (const fault of [undefined, ...faults]) {
  const { isWrong, states } = search(fault)
  const isExpected = isWrong === (fault !== undefined)
  if (!isExpected) process.exitCode = 1
  const what = isWrong ? 'a knock can open twice' : 'no knock opens twice'
  console.log(`${isExpected ? 'as expected' : 'WRONG'}: ${fault ?? 'the model'}: ${what} (${states} states)`)
}
