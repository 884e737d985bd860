/** Before ports close: by which services no knock will get anyone in. */
import type { UnwritablePath } from '../../config/index.js'
import { unopenedServices, unwritablePaths } from '../../config/index.js'
import type { Config } from '../../config/types.js'
import type { Terminal } from '../../util/index.js'

/** Never rejects: what closes a port does not wait for it, nor fail by it. */
export async function warnOfUnopenedServices(terminal: Terminal, config: Config): Promise<void> {
  for (const path of fatalPaths(config)) terminal.warn(unwritableText(path))
  for (const warning of await unopenedServices(config)) terminal.warn(warning)
}

function fatalPaths(config: Config): UnwritablePath[] {
  if (process.geteuid?.() !== 0) return []
  try {
    return unwritablePaths(config).filter(({ isFatal }) => isFatal)
  } catch {
    return []
  }
}

/** A path that the daemon of the packages cannot write, and what comes of it. */
export const unwritableText = ({ option, path, effect, advice }: UnwritablePath): string =>
  `pkctld, which runs as user pkctl, cannot write ${path} (${option}): ${effect}; ${advice}`
