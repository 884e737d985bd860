/** fwknop's packet, for those who make credentials of it. */
export { hmacNames } from './container.js'
export type { FwknopSecret } from './format.js'
export { fwknopPort, maxFwknopHmacKey, maxFwknopKey } from './format.js'
export { isUserName } from './line.js'
