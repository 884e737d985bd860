/** Says at the start that rules of other programs use bits of the packet mark that pkctl has for itself. */
import type { Config } from '../config/types.js'
import type { Log } from '../controller/index.js'
import { currentMarkSetters } from '../nft/foreign/index.js'
import { gatePriority } from '../nft/index.js'
import { reasonOf } from '../util/index.js'

export async function warnOfForeignMarks({ marks: { mask }, services }: Config, log: Log): Promise<void> {
  try {
    const hook = services.some(service => service.hook === 'prerouting') ? 'prerouting' : 'input'
    const setters = await currentMarkSetters({ mask, hook, priority: gatePriority })
    if (setters.length === 0) return
    const where = setters.map(({ family, table, name }) => `chain ${name} of table ${family} ${table}`).join(', ')
    log.warn(
      `rules of other programs may set bits of the packet mark that belong to pkctl (0x${mask.toString(16)}): ${where}; pkctl doctor says more`,
      { mask },
    )
  } catch (error) {
    log.debug(`the marks of other programs cannot be read: ${reasonOf(error)}`)
  }
}
