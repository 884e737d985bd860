/** Configurations of other programs, converted. */
export { importFrom } from './import-system.js'
export { writeFiles } from './write-files.js'
