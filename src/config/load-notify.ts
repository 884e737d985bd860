/** The entries of `notify`. */
import type * as z from 'zod'
import { ValueError } from '../util/index.js'
import { formatPath } from './config-path.js'
import type { Context } from './context.js'
import type { notifySchema } from './notify-schema.js'
import { notifyTarget } from './notify-schema.js'
import type { NotifyTarget } from './types.js'

/** Without those that are wrong, which is reported. */
export function loadNotify(
  entries: Readonly<Record<string, z.output<typeof notifySchema>>>,
  { merged, findings }: Context,
): NotifyTarget[] {
  return Object.entries(entries).flatMap(([name, data]) => {
    try {
      return [notifyTarget(name, data)]
    } catch (error) {
      if (!(error instanceof ValueError)) throw error
      const at = ['notify', name]
      findings.problem(merged.positionOf(at), `${formatPath(at)}${error.message}`)
      return []
    }
  })
}
