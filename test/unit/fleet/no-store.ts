import type { WaitingStore } from '../../../src/fleet/outbox-file.js'

/** For tests that end with their process. */
export const noStore: WaitingStore = { recall: () => [], keep: () => undefined, clear: () => undefined }
