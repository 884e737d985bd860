/**
 * The number of the ruleset's generation, which each transaction of any program raises: asked over netlink, without a
 * process. It costs some microseconds, however large the ruleset is.
 */
import * as fs from 'node:fs'
import { openSocket } from './datagram.js'

// linux/netlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h
const afNetlink = 16
const sockRaw = 3
const sockNonblock = 0o4000
const netlinkNetfilter = 12
const nftMsgGetgen = (10 << 8) | 16
const nftMsgNewgen = (10 << 8) | 15
const nlmFRequest = 1
const nftaGenId = 1
const headerBytes = 20
const answerBytes = 8192

/** Asks for the number; undefined when the kernel does not say. */
export type ReadGeneration = () => number | undefined

export function rulesetGeneration(): ReadGeneration {
  let descriptor: number | undefined
  const request = Buffer.alloc(headerBytes)
  request.writeUInt32LE(headerBytes, 0)
  request.writeUInt16LE(nftMsgGetgen, 4)
  request.writeUInt16LE(nlmFRequest, 6)
  const answer = Buffer.alloc(answerBytes)
  return () => {
    try {
      descriptor ??= openSocket(afNetlink, sockRaw | sockNonblock, netlinkNetfilter)
      fs.writeSync(descriptor, request)
      // The kernel has answered by now.
      return readAnswer(answer.subarray(0, fs.readSync(descriptor, answer)))
    } catch {
      return undefined
    }
  }
}

/** The number in the kernel's answer. */
export function readAnswer(message: Buffer): number | undefined {
  if (message.length < headerBytes || message.readUInt16LE(4) !== nftMsgNewgen) return undefined
  const end = Math.min(message.length, message.readUInt32LE(0))
  for (let at = headerBytes; at + 8 <= end;) {
    const length = message.readUInt16LE(at)
    if (length < 4) return undefined
    if (message.readUInt16LE(at + 2) === nftaGenId) return message.readUInt32BE(at + 4)
    at += (length + 3) & ~3
  }
  return undefined
}
