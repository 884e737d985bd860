/** The library for calls into C. A file of its own, because the programs load it when needed, and packages as a file of a bundle. */
export { default } from 'ffi-rs'
