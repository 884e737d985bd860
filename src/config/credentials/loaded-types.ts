/**
 * The types of credentials with their options, loaded. Alone in its file, because scripts/bundle.js replaces it: the
 * programs of a package are CommonJS, which has no `await` outside of functions.
 */
import { credentialTypes } from './credential-types.js'

export const loadedTypes = await Promise.all(
  credentialTypes.map(async ({ type, options }) => ({ type, kind: (await options()).kind })),
)
