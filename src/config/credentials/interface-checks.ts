/** What credentials with `interface` say to each other: the kernel must be able to tell their knocks apart. */
import type { Context } from '../context.js'
import { formatPath } from '../config-path.js'
import { knockFormats } from './credential-types.js'
import type { Credential } from './credential-schemas.js'

/**
 * The kernel passes on what has the shape of a knock and comes in by the right interface. Where two credentials share a
 * shape, a knock for the one would come with the interfaces of the other.
 */
export function checkSharedShapes(credentials: readonly Credential[], context: Context): void {
  const enabled = credentials.filter(one => one.enabled)
  // Mostly all have the same, or none: of very many, each pair would be looked at in vain.
  if (new Set(enabled.map(({ interfaces }) => interfaces.join())).size < 2) return
  enabled.forEach((credential, i) => {
    const earlier = enabled.slice(0, i).find(one => !sameInterfaces(one, credential) && shareShape(one, credential))
    if (!earlier) return
    const isSteps = shapesOf(credential).length === 0
    const why = isSteps
      ? `all sequences count on the same interfaces, and credentials.${earlier.name} has others`
      : credential.type === 'pkd'
        ? `credentials.${earlier.name} has the same tag and another interface`
        : `the kernel cannot tell its knocks from those of credentials.${earlier.name}, which has another interface`
    const another = credential.type === 'pkd' ? 'tag or port' : 'port'
    const hint = isSteps ? 'give all of them the same interface, or none' : `give one of them another ${another}`
    const { merged, findings } = context
    const [own, other] = [credential, earlier].map(({ name }) => ['credentials', name, 'interface'])
    const place = credential.interfaces.length > 0 ? own : other
    findings.problem(merged.positionOf(place ?? []), `${formatPath(own ?? [])}${why}`, hint)
  })
}

const shapesOf = (credential: Credential) =>
  !knockFormats.isOfPackets(credential.type)
    ? []
    : // Those that change with time are alike at one time where they are at any.
      knockFormats.shapesOf(credential as Parameters<typeof knockFormats.shapesOf>[0], 0)

const sameInterfaces = (a: Credential, b: Credential) => a.interfaces.join() === b.interfaces.join()

function shareShape(a: Credential, b: Credential): boolean {
  const [some, others] = [shapesOf(a), shapesOf(b)]
  if (some.length === 0 || others.length === 0) return some.length === others.length
  return some.some(one =>
    others.some(
      other =>
        lengthsOf(one).some(length => lengthsOf(other).includes(length)) &&
        beginAlike(one, other) &&
        (one.port === null || other.port === null || one.port === other.port),
    ),
  )
}

type Shape = ReturnType<typeof shapesOf>[number]

const lengthsOf = (shape: Shape) => ('udpLength' in shape ? [shape.udpLength] : shape.udpLengths)
const firstBytesOf = (shape: Shape) => ('firstWord' in shape ? [shape.firstWord >>> 24] : shape.firstBytes)

function beginAlike(one: Shape, other: Shape): boolean {
  if ('firstWord' in one && 'firstWord' in other) return one.firstWord === other.firstWord
  return firstBytesOf(one).some(byte => firstBytesOf(other).includes(byte))
}
