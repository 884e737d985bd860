/** Before ports close: by which services no knock will get anyone in. */
import type { HiddenFile, UnwritablePath } from '../../config/index.js'
import { eachOnce, hiddenFiles, hiddenKeys, unopenedServices, unwritablePaths } from '../../config/index.js'
import type { Config } from '../../config/types.js'
import type { Terminal } from '../../util/index.js'

/**
 * Never rejects: what closes a port does not wait for it, nor fail by it. `files`: those of which the configuration was
 * read.
 */
export async function warnOfUnopenedServices(
  terminal: Terminal,
  config: Config,
  files: readonly string[],
): Promise<void> {
  const { files: keys, isHidden } = await hiddenKeys(config)
  for (const warning of accessWarnings(config, files, keys)) terminal.warn(warning)
  for (const warning of await unopenedServices(config, isHidden)) terminal.warn(warning)
}

function accessWarnings(config: Config, files: readonly string[], keys: readonly HiddenFile[]): string[] {
  if (process.geteuid?.() !== 0) return []
  try {
    const fatal = unwritablePaths(config).filter(({ isFatal }) => isFatal)
    return [...eachOnce([...hiddenFiles(files), ...keys]).map(hiddenText), ...fatal.map(unwritableText)]
  } catch {
    return []
  }
}

/** A file that the daemon of the packages cannot read. */
export const hiddenText = ({ shut, advice }: HiddenFile): string =>
  `pkctld, which runs as user pkctl, cannot read ${shut}; ${advice}`

/** A path that the daemon of the packages cannot write, and what comes of it. */
export const unwritableText = ({ option, path, effect, advice }: UnwritablePath): string =>
  `pkctld, which runs as user pkctl, cannot write ${path} (${option}): ${effect}; ${advice}`
