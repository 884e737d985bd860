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
const nlmsgError = 2
const nlmFRequest = 1
const nfprotoInet = 1
const nftaTableName = 1
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

/** A name as an attribute: length, type, the text with a zero, and zeros up to four bytes. */
function textAttribute(type: number, text: string): Buffer {
  const length = 4 + text.length + 1
  const attribute = Buffer.alloc((length + 3) & ~3)
  attribute.writeUInt16LE(length, 0)
  attribute.writeUInt16LE(type, 2)
  attribute.write(text, 4, 'latin1')
  return attribute
}

/** Asks for the number of the ruleset. */
export const getGeneration = request(nftMsgGetgen, 0)

/** Asks for a table of the family inet. */
export const getTable = (name: string): Buffer =>
  request(nftMsgGettable, nfprotoInet, textAttribute(nftaTableName, name))

const typeOf = (message: Buffer): number | undefined =>
  message.length < headerBytes ? undefined : message.readUInt16LE(4)

/** The number in the kernel's answer to `getGeneration`. */
export function readGeneration(message: Buffer): number | undefined {
  if (typeOf(message) !== nftMsgNewgen) return undefined
  const end = Math.min(message.length, message.readUInt32LE(0))
  for (let at = headerBytes; at + 8 <= end;) {
    const length = message.readUInt16LE(at)
    if (length < 4) return undefined
    if (message.readUInt16LE(at + 2) === nftaGenId) return message.readUInt32BE(at + 4)
    at += (length + 3) & ~3
  }
  return undefined
}

/** Whether there is the table that `getTable` asked for; undefined when the kernel does not say. */
export function readPresence(message: Buffer): boolean | undefined {
  const type = typeOf(message)
  if (type === nftMsgNewtable) return true
  return type === nlmsgError && message.readInt32LE(16) === -enoent ? false : undefined
}
