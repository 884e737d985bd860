/** Keys, certificates, authorized keys and lists of revoked keys, as OpenSSH writes them. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as path from 'node:path'
import {
  parseAuthorizedKeys,
  parseCertificate,
  parsePublicKey,
  parseRevocations,
  SshFormatError,
} from '../../../src/knock/openssh/index.js'
import { root } from '../../support/commands.js'
import { isClear, orRefused } from '../properties.js'
import type { Target } from '../target.js'

const seed = (name: string) => fs.readFileSync(path.join(root, 'test/vectors/openssh', name))
const blob = (name: string) => Buffer.from(seed(name).toString().split(' ')[1] ?? '', 'base64')

const keys = ['ed25519.pub', 'ecdsa.pub', 'ed25519-sk.pub', 'ecdsa-sk.pub']
const signature = Buffer.alloc(64, 1)

export const opensshTargets: readonly Target[] = [
  {
    name: 'openssh-key',
    seeds: keys.map(blob),
    run(input) {
      const key = orRefused(() => parsePublicKey(input), SshFormatError)
      if (!key) return
      // One spelling: what was read is what would be written.
      assert.deepEqual(key.blob, input)
      assert.equal(key.verify(input, signature, key.isToken ? { flags: 1, counter: 1 } : undefined), false)
    },
  },
  {
    name: 'openssh-certificate',
    seeds: [blob('ed25519-cert.pub'), blob('ecdsa-sk-cert.pub')],
    run(input) {
      const certificate = orRefused(() => parseCertificate(input), SshFormatError)
      if (!certificate) return
      assert.deepEqual(certificate.blob, input)
      const isSeed = this.seeds.some(one => input.equals(one as Buffer))
      assert.equal(certificate.verifyCa(), isSeed, 'a changed certificate was signed')
    },
  },
  {
    name: 'openssh-authorized-keys',
    seeds: [seed('authorized_keys')],
    words: [
      ...['from="', 'expiry-time="', 'cert-authority', 'principals="', 'restrict', 'no-touch-required', 'obo="::/0"'],
      ...['opens="ssh"', 'window="8h"', 'prefix4="24"', 'command="', '\\"', '!', '*', '?', '192.0.2.0/24', '20271231Z'],
    ],
    run(input) {
      for (const { message } of parseAuthorizedKeys(input.toString(), 'keys').problems) isClear(message)
    },
  },
  {
    name: 'openssh-revocations',
    seeds: [seed('krl'), seed('ed25519.pub')],
    run(input) {
      const list = orRefused(() => parseRevocations(input), SshFormatError)
      list?.isRevoked(parseCertificate(blob('ed25519-cert.pub')))
    },
  },
]
