/**
 * `npm run test:model -- [--knocks N] [--schedules N] [--seed N] [--fault NAME]`: simulates N knocks of a group, and N schedules of
 * shared grants; with a seed, only the schedule of that seed. Ends with 1 where something is wrong, and prints its seeds.
 */
import { parseArgs } from 'node:util'
import type { ClaimFault } from './claims.js'
import { simulateClaims } from './claims.js'
import type { GrantFault } from './grants.js'
import { simulateGrants } from './grants.js'

const { values } = parseArgs({
  options: {
    knocks: { type: 'string', default: '1000000' },
    schedules: { type: 'string', default: '10000' },
    seed: { type: 'string' },
    fault: { type: 'string' },
  },
})
const knocksEach = 1000
const seeds = (count: number) =>
  values.seed === undefined ? Array.from({ length: count }, (_, i) => i) : [Number(values.seed)]

const failed: string[] = []
let [knocks, opened, doubles] = [0, 0, 0]
for (const seed of seeds(Math.ceil(Number(values.knocks) / knocksEach))) {
  const report = await simulateClaims(seed, knocksEach, values.fault as ClaimFault | undefined)
  knocks += report.knocks
  opened += report.opened
  doubles += report.doubles
  if (report.doubles > 0) failed.push(`claims, --seed ${seed}: ${report.doubles} knocks opened twice`)
}
console.log(`${knocks} group knocks, of which ${opened} opened, and ${doubles} more than once`)

let [revocations, lost, disagreements] = [0, 0, 0]
for (const seed of seeds(Number(values.schedules))) {
  const report = await simulateGrants(seed, values.fault as GrantFault | undefined)
  revocations += report.revocations
  lost += report.lost
  disagreements += report.disagreements
  if (report.lost + report.disagreements > 0)
    failed.push(`grants, --seed ${seed}: ${report.lost} revocations lost, ${report.disagreements} disagreements`)
}
console.log(`${revocations} revocations, of which ${lost} were lost; ${disagreements} disagreements`)

for (const line of failed) console.log(`failed: ${line}`)
process.exitCode = failed.length > 0 ? 1 : 0
