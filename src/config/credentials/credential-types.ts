/**
 * The types of credentials: the formats of their knocks, and the file with their options. A new type is one line here,
 * beside its file in src/knock/ and its file in this folder; CONTRIBUTING.md lists the steps.
 *
 * The file with the options is imported when a configuration is read and no earlier: it needs a library that takes
 * longer to load than a knock takes, and the packet worker and the client need the formats alone.
 */
import { KnockFormats } from '../../knock/index.js'
import { fwknop } from '../../knock/fwknop/fwknop-format.js'
import { pkdOnBehalf } from '../../knock/pkd-on-behalf.js'
import { signedFormat } from '../../knock/pk1/signed-format.js'
import { symmetric } from '../../knock/pk1/symmetric.js'
import { pkd } from '../../knock/pkd.js'

export const credentialTypes = [
  { type: 'pkd', formats: [pkd, pkdOnBehalf], options: () => import('./pkd.js') },
  { type: 'ssh', formats: [], signed: signedFormat, options: () => import('./ssh.js') },
  { type: 'symmetric', formats: [symmetric], options: () => import('./symmetric.js') },
  { type: 'fwknop', formats: [fwknop], options: () => import('./fwknop.js') },
  { type: 'sequence', formats: [], options: () => import('./sequence.js') },
  { type: 'one-time', formats: [], options: () => import('./one-time.js') },
  { type: 'rotating', formats: [], options: () => import('./rotating.js') },
] as const

export const knockFormats = new KnockFormats(credentialTypes)
