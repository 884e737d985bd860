/** The options of the configuration, from its JSON Schema, as a part of a manual page. */
import { bold, plain, tagged } from './roff.js'

/** What is used of a JSON Schema. */
export interface SchemaNode {
  readonly description?: string
  readonly const?: unknown
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly additionalProperties?: SchemaNode | boolean
  readonly anyOf?: readonly SchemaNode[]
  readonly oneOf?: readonly SchemaNode[]
  readonly allOf?: readonly SchemaNode[]
}

/** The node and what it may be instead. */
function alternatives(node: SchemaNode): SchemaNode[] {
  return [node, ...[...(node.anyOf ?? []), ...(node.oneOf ?? []), ...(node.allOf ?? [])].flatMap(alternatives)]
}

/** The lines about each option below a node of the schema; `path` is the name of the node with a full stop, or empty. */
export function optionsBelow(node: SchemaNode, path: string): string[] {
  return alternatives(node).flatMap(({ properties = {}, additionalProperties }) => {
    const kind = properties['type']?.const
    const entries = Object.entries(properties).filter(([name]) => kind === undefined || name !== 'type')
    const named = typeof additionalProperties === 'object' ? optionsBelow(additionalProperties, `${path}NAME.`) : []
    const heading =
      typeof kind === 'string'
        ? [`.SS type: ${kind}`, ...tagged(bold(`${path}type: ${kind}`), plain(properties['type']?.description ?? ''))]
        : []
    return [
      ...heading,
      ...entries.flatMap(([name, option]) => [
        ...tagged(bold(`${path}${name}`), plain(option.description ?? '')),
        ...optionsBelow(option, `${path}${name}.`),
      ]),
      ...named,
    ]
  })
}
