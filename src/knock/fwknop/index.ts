/** fwknop's packet, for those who make credentials of it. */
export { hmacNames } from './container.js'
export type { FwknopSecret } from './fwknop-format.js'
export { fwknopPort, maxFwknopHmacKey, maxFwknopKey } from './fwknop-format.js'
export { isUserName } from './line.js'
