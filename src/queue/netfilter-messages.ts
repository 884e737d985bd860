/** Messages of nfnetlink about the ruleset, as far as pkctl speaks it itself: questions that nft would start a process for. */

// linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h
export const afNetlink = 16
export const sockRaw = 3
export const sockNonblock = 0o4000
export const netlinkNetfilter = 12

const subsystemNftables = 10 << 8
const nftMsgNewtable = subsystemNftables | 0
const nftMsgGettable = subsystemNftables | 1
export const nftMsgNewgen = subsystemNftables | 15
const nftMsgGetgen = subsystemNftables | 16
const nftMsgNewsetelem = subsystemNftables | 12
const nftMsgGetsetelem = subsystemNftables | 13
const nlmsgError = 2
const nlmFRequest = 1
const nfprotoInet = 1
const nftaTableName = 1
const nftaListTable = 1
const nftaListSet = 2
const nftaListElements = 3
const nftaListElem = 1
const nftaElementKey = 1
const nftaElementExpiration = 5
const nftaDataValue = 1
const nested = 0x8000
const typeMask = 0x3fff
const nftaGenId = 1
const enoent = 2

const headerBytes = 20

/** A request without flags: the header of netlink and that of nfnetlink, then attributes. */
function request(type: number, family: number, attributes: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(headerBytes)
  header.writeUInt32LE(headerBytes + attributes.length, 0)
  header.writeUInt16LE(type, 4)
  header.writeUInt16LE(nlmFRequest, 6)
  header.writeUInt8(family, 16)
  return Buffer.concat([header, attributes])
}

/** Length, type, the value, and zeros up to four bytes. */
function attribute(type: number, value: Buffer): Buffer {
  const length = 4 + value.length
  const bytes = Buffer.alloc((length + 3) & ~3)
  bytes.writeUInt16LE(length, 0)
  bytes.writeUInt16LE(type, 2)
  value.copy(bytes, 4)
  return bytes
}

/** A name ends with a zero. */
const textAttribute = (type: number, text: string) => attribute(type, Buffer.from(`${text}\0`, 'latin1'))

const nestedAttribute = (type: number, ...inner: readonly Buffer[]) => attribute(type | nested, Buffer.concat(inner))

/** Asks for the number of the ruleset. */
export const getGeneration = request(nftMsgGetgen, 0)

/** Asks for a table of the family inet. */
export const getTable = (name: string): Buffer =>
  request(nftMsgGettable, nfprotoInet, textAttribute(nftaTableName, name))

/** Asks for one element of a set of a table of the family inet, by its key as the kernel has it. */
export const getElement = (table: string, set: string, key: Buffer): Buffer =>
  request(
    nftMsgGetsetelem,
    nfprotoInet,
    Buffer.concat([
      textAttribute(nftaListTable, table),
      textAttribute(nftaListSet, set),
      nestedAttribute(
        nftaListElements,
        nestedAttribute(nftaListElem, nestedAttribute(nftaElementKey, attribute(nftaDataValue, key))),
      ),
    ]),
  )

const typeOf = (message: Buffer): number | undefined =>
  message.length < headerBytes ? undefined : message.readUInt16LE(4)

/** The value of the first attribute of this type between two places. */
function valueOf(message: Buffer, type: number, from: number, to: number): Buffer | undefined {
  for (let at = from; at + 4 <= to;) {
    const length = message.readUInt16LE(at)
    if (length < 4 || at + length > to) return undefined
    if ((message.readUInt16LE(at + 2) & typeMask) === type) return message.subarray(at + 4, at + length)
    at += (length + 3) & ~3
  }
  return undefined
}

const attributeOf = (message: Buffer, type: number) =>
  valueOf(message, type, headerBytes, Math.min(message.length, message.readUInt32LE(0)))

const inside = (value: Buffer | undefined, type: number) => value && valueOf(value, type, 0, value.length)

/** The number in the kernel's answer to `getGeneration`. */
export function readGeneration(message: Buffer): number | undefined {
  if (typeOf(message) !== nftMsgNewgen) return undefined
  const number = attributeOf(message, nftaGenId)
  return number?.length === 4 ? number.readUInt32BE() : undefined
}

/**
 * The seconds that are left of the element that `getElement` asked for; Infinity without a time limit, and undefined when there
 * is none, or the kernel does not say.
 */
export function readSecondsLeft(message: Buffer): number | undefined {
  if (typeOf(message) !== nftMsgNewsetelem) return undefined
  const element = inside(attributeOf(message, nftaListElements), nftaListElem)
  if (!element) return undefined
  const milliseconds = inside(element, nftaElementExpiration)
  if (!milliseconds) return Infinity
  return milliseconds.length === 8 ? Number(milliseconds.readBigUInt64BE()) / 1000 : undefined
}

/** Whether there is the table that `getTable` asked for; undefined when the kernel does not say. */
export function readPresence(message: Buffer): boolean | undefined {
  const type = typeOf(message)
  if (type === nftMsgNewtable) return true
  return type === nlmsgError && message.readInt32LE(16) === -enoent ? false : undefined
}
