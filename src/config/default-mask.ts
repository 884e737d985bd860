/** The mask for a configuration that names none. */
import type { Config } from './types.js'

/** With twice as many, the default mask has no number left for one more kind of grant during a reload. */
const maxCredentials = 31
const wideMask = 0xffff0000

/** `marks` as loaded, where `given` is the whole configuration as it is written. */
export function marksFor(marks: Config['marks'], given: Readonly<Record<string, unknown>>, credentials: number) {
  const section = given['marks']
  const isGiven = typeof section === 'object' && section !== null && 'mask' in section
  return isGiven || credentials <= maxCredentials ? marks : { mask: wideMask }
}
