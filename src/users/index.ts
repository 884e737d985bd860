/** The users of a server who knock with keys of OpenSSH. */
export { revokeHomeKeys } from './home-keys.js'
export { fingerprintText, keyText, optionsText } from './key-lines.js'
export type { KeyPlace } from './key-places.js'
export { keyPlaces, placeFor } from './key-places.js'
export type { CredentialUser } from './users.js'
export { addUser, allUsers, keysIn, publicKeyIn, revokeUser } from './users.js'
