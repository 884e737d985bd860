/** The mask for a configuration that names none. */
import { formatPath } from './config-path.js'
import { isStepsType } from './host-interfaces.js'
import type { Context } from './context.js'
import type { Config, Credential } from './types.js'

/** With twice as many, the default mask has no number left for one more kind of grant during a reload. */
const maxActions = 31
const wideMask = 0xffff0000

/** `marks` as loaded. Warns where many kinds of grants need bits that other programs use as well. */
export function marksFor(
  marks: Config['marks'],
  credentials: readonly Credential[],
  { merged, findings }: Context,
): Config['marks'] {
  const section = merged.value['marks']
  const isGiven = typeof section === 'object' && section !== null && 'mask' in section
  const actions = new Set(credentials.map(actionOf)).size
  if (isGiven || actions <= maxActions) return marks
  const place = ['credentials']
  const what = `they have ${actions} different sets of services and windows, so that the mark mask is 0xffff0000 instead of 0xff`
  const message = `${formatPath(place)}${what}: Calico, Cilium and Tailscale use these bits, too; 'marks: { mask: … }' chooses others`
  findings.warn(merged.positionOf(place), message)
  return { mask: wideMask }
}

/** What one mark stands for: credentials that open, or close, the same for the same time share it, with those of their kind. */
const actionOf = ({ type, opens, closes, window }: Credential) =>
  JSON.stringify([isStepsType(type), opens, closes, window])
