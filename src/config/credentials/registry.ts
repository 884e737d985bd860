/**
 * The types of credentials, each with the file of its options. A file is imported when a configuration is read and no
 * earlier: it needs a library that takes longer to load than a knock takes.
 */
export const credentialTypes = [
  { type: 'pkd', options: () => import('./pkd.js') },
  { type: 'sequence', options: () => import('./sequence.js') },
  { type: 'one-time', options: () => import('./one-time.js') },
  { type: 'rotating', options: () => import('./rotating.js') },
] as const
