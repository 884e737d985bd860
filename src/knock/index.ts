/** The knock formats, and what sequences have in common. */
export { PkdFormatError } from './errors.js'
export type { KnockFormat, Requested, VerifiedKnock } from './format.js'
export { KnockFormats } from './format-registry.js'
export type { OneTimeList, OneTimeSequence } from './one-time.js'
export { fewLeft, readOneTime, usedMark } from './one-time.js'
export type { PkdKey, PkdSecret } from './pkd.js'
export { defaultTag, formatTag, maxKeyLength, parseKey, parseTag, tagLength } from './pkd.js'
export type { HourKind, Rotation } from './rotating.js'
export { currentHours, digests, hourKinds, nextTurn, rotatingSteps, startOfHour } from './rotating.js'
export type { FlagRule, Step } from './sequence.js'
export {
  formatStep,
  isAscending,
  isSentByClients,
  maxSteps,
  parseFlags,
  parseStep,
  SequenceTracker,
  synRule,
} from './sequence.js'
