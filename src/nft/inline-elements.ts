/**
 * Elements, written into the definition of their set or map where the same transaction has it. For a command that adds
 * elements to a set that exists, nft first reads all interval sets of the machine, also those of other programs: beside
 * 60,000 foreign prefixes that takes a second, while ports may be open. Not where rules add elements as well: nft makes
 * such a set of another kind, and refuses a second definition.
 */
import type { Command, Json } from './nft-json.js'
import { asArray, asObject, asText } from './listing.js'

type Kind = 'set' | 'map'

interface Known {
  readonly kind: Kind
  readonly definition: Readonly<Record<string, Json>>
  /** The place of the command that has its elements, while more can be put there. */
  at?: number
}

/** The same transaction. Elements of one set come together, where its last ones were. */
export function withInlineElements(commands: readonly Command[]): Command[] {
  const known = new Map<string, Known>()
  const result: (Command | undefined)[] = []
  for (const command of commands) {
    const added = asObject(command.add)
    const elements = asObject(added['element'])
    const name = asText(elements['name'])
    const target = known.get(name)
    if (added['element'] !== undefined && target) {
      const elem = [...elementsAt(result, target), ...asArray(elements['elem'])]
      target.at = result.push({ add: { [target.kind]: { ...target.definition, elem } } }) - 1
      continue
    }
    result.push(command)
    note(command, known)
  }
  return result.filter(command => command !== undefined)
}

/** Takes the elements out of the command that has them so far. */
function elementsAt(commands: (Command | undefined)[], { kind, at }: Known): readonly Json[] {
  if (at === undefined) return []
  const elem = asObject(asObject(commands[at]?.add)[kind])['elem']
  commands[at] = undefined
  return asArray(elem)
}

/** Keeps what is defined, and the order of what else is done to it. */
function note(command: Command, known: Map<string, Known>): void {
  const added = asObject(command.add)
  for (const kind of ['set', 'map'] as const) {
    const definition = asObject(added[kind])
    const name = asText(definition['name'])
    const isFilledByRules = asArray(definition['flags']).includes('timeout')
    if (name !== '' && !isFilledByRules && !known.has(name)) known.set(name, { kind, definition })
  }
  for (const object of [command.delete, command.flush]) {
    const [kind = '', body] = Object.entries(asObject(object))[0] ?? []
    const name = asText(asObject(body)['name'])
    if (kind === 'table') known.clear()
    else if (object === command.delete && (kind === 'set' || kind === 'map')) known.delete(name)
    else {
      const target = known.get(name)
      if (target) delete target.at
    }
  }
}
