import { createRequire } from 'node:module'

/** As package.json says. */
export const version = (createRequire(import.meta.url)('../../../package.json') as { version: string }).version
