/** NFQUEUE and the packets that come through it. */
export { sendDatagram } from './datagram.js'
export { answerMadeUp } from './made-up-packet.js'
export { isClockSynchronised, openLibraries } from './libraries.js'
export type { Batch } from './nfqueue.js'
export { PacketQueue } from './nfqueue.js'
export type { Packet } from './packet.js'
export { sourceText } from './packet.js'
