/** What a node says of itself every few seconds. */
export interface Hello {
  /** Of pkctl. */
  readonly version: string
  readonly share: readonly string[]
  readonly accept: readonly string[]
  /** How many grants of the fleet run, as far as the node knows. */
  readonly grants: number
}

const mostServices = 10

/** As many services as fit into a message. */
export const helloText = ({ version, share, accept, grants }: Hello): string =>
  JSON.stringify({ version, share: share.slice(0, mostServices), accept: accept.slice(0, mostServices), grants })

/** Undefined for what is none. */
export function readHello(text: string): Hello | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { version, share, accept, grants } = value as Record<string, unknown>
  const isName = (one: unknown): one is string => typeof one === 'string' && /^[\w.+~-]{1,64}$/.test(one)
  const isList = (one: unknown): one is string[] =>
    Array.isArray(one) && one.length <= mostServices && one.every(isName)
  if (!isName(version) || !isList(share) || !isList(accept)) return undefined
  if (typeof grants !== 'number' || !Number.isSafeInteger(grants) || grants < 0) return undefined
  return { version, share, accept, grants }
}
