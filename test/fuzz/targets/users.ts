/** Invitations, and files of keys in which users are added and removed. */
import assert from 'node:assert/strict'
import { formatInvitation, parseInvitation } from '../../../src/client/invitation.js'
import { readKeyText } from '../../../src/knock/openssh/index.js'
import { withoutUser, withUser } from '../../../src/users/key-lines.js'
import { UserError } from '../../../src/util/user-error.js'
import { ValueError } from '../../../src/util/value-error.js'
import { orRefused } from '../properties.js'
import type { Target } from '../target.js'

const bytes = (byte: number) => Buffer.alloc(32, byte).toString('base64url')
const keyLine = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBERERERERERERERERERERERERERERERERERERERERER'
const key = readKeyText(keyLine)
if (!key) throw new Error('the key of the target can be read')

export const userTargets: readonly Target[] = [
  {
    name: 'invitation',
    seeds: [
      `pkctl://server.example?id=pk1:${bytes(7)}&services=ssh:22`,
      `pkctl://[2001:db8::1]:4000?id=pk1:${bytes(8)}&services=ssh:22,vpn:1194/udp&key=${bytes(9)}`,
    ],
    words: ['pkctl://', '?id=pk1:', '&id=', '&key=', '&services=', ':22', '/udp', '[', ']', '%00', '@', '#'],
    run(input) {
      const invitation = orRefused(() => parseInvitation(input.toString()), UserError, ValueError)
      if (!invitation) return
      const line = formatInvitation(invitation)
      assert.deepEqual(parseInvitation(line), invitation)
    },
  },
  {
    name: 'user-lines',
    seeds: [`# ours\nopens="ssh" ${keyLine.replace('ERER', 'EREQ')} bob\n`, `${keyLine} alice\r\nbroken`],
    words: ['alice', ' alice\n', 'opens="', '"', '\\"', '\r\n', '#', keyLine],
    run(input) {
      const text = input.toString()
      const user = { name: 'alice', key, opens: ['ssh'], window: 60, expiresAt: undefined }
      const added = orRefused(() => withUser(text, 'keys', user), UserError)
      if (added === undefined) return
      assert.ok(added.startsWith(text))
      assert.equal(withUser(added, 'keys', user), undefined, 'a second time changes nothing')
      const { text: left, removed } = withoutUser(added, 'keys', 'alice')
      assert.equal(removed.length, 1)
      assert.equal(left, text === '' || text.endsWith('\n') ? text : `${text}\n`)
    },
  },
]
