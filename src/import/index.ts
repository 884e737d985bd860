/** Configurations of other programs, converted. */
export { importFrom, systemNames } from './import-system.js'
export { writeFiles } from './write-files.js'
