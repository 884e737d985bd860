/**
 * What pkctl asks the kernel about the ruleset over netlink, without a process: the number of its generation, which each
 * transaction of any program raises, whether a table is there, and how long one element of a set runs. It costs some
 * microseconds, however large the ruleset is.
 */
import * as fs from 'node:fs'
import { addressBytes } from '../net/index.js'
import { openSocket } from './datagram.js'
import { afNetlink, getElement, getGeneration, getTable, netlinkNetfilter } from './netfilter-messages.js'
import { readGeneration, readPresence, readSecondsLeft, sockNonblock, sockRaw } from './netfilter-messages.js'

const answerBytes = 8192

/** Asks for the number; undefined when the kernel does not say. */
export type ReadGeneration = () => number | undefined

export interface RulesetQuestions {
  readonly generation: ReadGeneration
  /** Whether there is the table `inet NAME`; undefined when the kernel does not say. */
  readonly hasTable: (name: string) => boolean | undefined
  /**
   * The seconds that are left of an address in a set of the table `inet NAME`; Infinity without a time limit, and undefined
   * when it is not there, or the kernel does not say.
   */
  readonly secondsLeft: (table: string, set: string, address: string) => number | undefined
}

export function rulesetQuestions(): RulesetQuestions {
  let descriptor: number | undefined
  const answer = Buffer.alloc(answerBytes)
  function ask<T>(question: Buffer, read: (message: Buffer) => T | undefined): T | undefined {
    try {
      descriptor ??= openSocket(afNetlink, sockRaw | sockNonblock, netlinkNetfilter)
      fs.writeSync(descriptor, question)
      // The kernel has answered by now.
      return read(answer.subarray(0, fs.readSync(descriptor, answer)))
    } catch {
      return undefined
    }
  }
  return {
    generation: () => ask(getGeneration, readGeneration),
    hasTable: name => ask(getTable(name), readPresence),
    secondsLeft: (table, set, address) =>
      ask(getElement(table, set, Buffer.from(addressBytes(address), 'latin1')), readSecondsLeft),
  }
}
