/** What the keys of `pkctl watch` do to a grant: the same as `pkctl delete` and `pkctl add`. */
import { parseAddress, splitPrefix } from '../../net/index.js'
import { changeGrant } from '../changes/grant-change.js'
import { logChange } from '../changes/log-change.js'
import { grantedText, revokedText } from '../output/service-text.js'
import type { GrantLine } from './screen.js'

/** Resolves to a sentence. Rejects with what makes it impossible. */
export async function revokeGrant({ service, source }: GrantLine, socket: string): Promise<string> {
  const { version, address } = parseAddress(splitPrefix(source).address)
  const change = await changeGrant({ socket }, { request: 'delete', service, address }, firewall =>
    firewall.deleteGrant(service, version, address),
  )
  const sentence = revokedText(source, service)
  if (change.changed) await logChange(socket, sentence)
  return sentence
}

/** Lets the grant run for `seconds` from now on. */
export async function extendGrant({ service, source }: GrantLine, seconds: number, socket: string): Promise<string> {
  const { version, address } = parseAddress(splitPrefix(source).address)
  const change = await changeGrant({ socket }, { request: 'add', service, address, seconds }, firewall =>
    firewall.addGrant(service, version, address, seconds),
  )
  const sentence = grantedText(source, service, seconds)
  if (change.changed) await logChange(socket, sentence)
  return sentence
}
