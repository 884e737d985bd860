/** Text, paths, files, sockets, and running a program. */
export type { TemporaryFile } from './atomic-file.js'
export { createFile, removeFile, renameFile, replaceAndKeepOpen, replaceFile, writeTemporary } from './atomic-file.js'
export {
  configDirectory,
  defaultConfig,
  defaultSocket,
  defaultStateDirectory,
  logDirectory,
  rollbackDirectory,
  runDirectory,
} from './default-paths.js'
export { durationText, parseDuration, timeText } from './duration.js'
export { expandHome } from './expand-home.js'
export { decodeText, reasonOf } from './file-text.js'
export { HashTable } from './hash-table.js'
export { inDirectory } from './in-directory.js'
export type { Sections } from './ini.js'
export { IniError, parseIni } from './ini.js'
export { isJournal, withPriority } from './journal-stream.js'
export { nearest } from './nearest.js'
export {
  appendNamed,
  appendOwned,
  giveToOwner,
  isStillThere,
  makeNew,
  makeOwnedDirectory,
  openNamed,
  openNamedToRead,
  openOwnedToRead,
  openThere,
  ownerHint,
  readNamed,
  readOwned,
} from './owned-file.js'
export type { Execute, RunLimits } from './child-process.js'
export { execute, killGroup, killPrograms, TimeLimitError } from './child-process.js'
export { privateMode, shareFile } from './secret-file.js'
export type { Problem } from './problem.js'
export type { Steps } from './slices.js'
export { inOnePiece, inSlices, Slices } from './slices.js'
export type { Answer } from './socket/answer.js'
export { requestIn, unknownRequest } from './socket/answer.js'
export { ask } from './socket/client.js'
export { listenThere } from './socket/listen-there.js'
export type { ListeningSocket } from './socket/server.js'
export { listen } from './socket/server.js'
export { isAnswering, refuseServed, SocketError } from './socket/socket-file.js'
export type { Terminal } from './terminal.js'
export { count, sortOfValue, oneLine, quote, shown } from './text.js'
export { usageError, UserError } from './user-error.js'
export { unexpected, ValueError } from './value-error.js'
