/** The network interfaces of this machine. */
import * as fs from 'node:fs'
import { onlyInterface } from './interfaces.js'

/** An interface, and the one that it belongs to: a bridge, a bond or a VRF. */
export interface HostInterface {
  readonly name: string
  readonly master: string | null
  /** Whether it is the device of a VRF. */
  readonly isVrf?: boolean
}

const classDirectory = '/sys/class/net'
/** A VRF has both of these flags, IFF_NOARP and IFF_MASTER, also without a link. */
const vrfFlags = 0x480

/** Null where they cannot be seen. */
export function hostInterfaces(directory = classDirectory): HostInterface[] | null {
  try {
    const found = fs.readdirSync(directory).map(name => {
      const link = `${directory}/${name}/master`
      return { name, master: fs.existsSync(link) ? (fs.readlinkSync(link).split('/').at(-1) ?? null) : null }
    })
    const masters = new Set(found.map(({ master }) => master))
    const isVrf = (name: string) =>
      (masters.has(name) || hasVrfFlags(directory, name)) && !isBridgeOrBond(directory, name)
    return found.map(one => ({ ...one, isVrf: isVrf(one.name) }))
  } catch {
    return null
  }
}

function hasVrfFlags(directory: string, name: string): boolean {
  try {
    return (Number(fs.readFileSync(`${directory}/${name}/flags`, 'latin1')) & vrfFlags) === vrfFlags
  } catch {
    return false
  }
}

const isBridgeOrBond = (directory: string, name: string) =>
  ['bridge', 'bonding'].some(part => fs.existsSync(`${directory}/${name}/${part}`))

/** The names of the devices of VRFs. */
export const vrfNames = (): ReadonlySet<string> =>
  new Set((hostInterfaces() ?? []).flatMap(({ name, isVrf }) => (isVrf ? [name] : [])))

/**
 * The link that is meant where these names mean exactly one: two links can have the same neighbours' addresses. The device of
 * a VRF is none, because packets of all its links come in by it.
 */
export function onlyLink(names: readonly string[], vrfs: () => ReadonlySet<string> = vrfNames): string | undefined {
  const only = onlyInterface(names)
  return only === undefined || vrfs().has(only) ? undefined : only
}
