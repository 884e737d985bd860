import * as os from 'node:os'

/** `~/x` in the home directory. */
export const expandHome = (file: string): string => file.replace(/^~(?=\/)/, os.homedir())
