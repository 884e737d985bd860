/** Names of interfaces in other configurations. */
import { parseInterface } from '../net/index.js'
import { ValueError } from '../util/index.js'

/** As pkctl has it; iptables ends the start of names with `+`. Undefined for what can be no name here. */
export function interfaceOf(text: string): string | undefined {
  try {
    return parseInterface(text.replace(/\+$/, '*'))
  } catch (error) {
    if (!(error instanceof ValueError)) throw error
    return undefined
  }
}

/** The option of an entry; none for all interfaces. */
export function interfaceOption(names: readonly string[]): { interface?: string | readonly string[] } {
  const [first, ...more] = names
  return first === undefined ? {} : { interface: more.length === 0 ? first : names }
}
