/** What the keys of `pkctl watch` do to a grant: the same as `pkctl delete` and `pkctl add`. */
import { parseAddress, splitPrefix } from '../../net/index.js'
import { changeGrant } from '../changes/grant-change.js'
import { logChange } from '../changes/log-change.js'
import { ownComment } from '../changes/grant-note.js'
import { grantedText, revokedText } from '../output/service-text.js'
import type { GrantLine } from './screen.js'

/** Resolves to a sentence. Rejects with what makes it impossible. */
export async function revokeGrant({ service, source }: GrantLine, socket: string): Promise<string> {
  const { version, address } = parseAddress(splitPrefix(source).address)
  const change = await changeGrant({ socket }, { request: 'delete', service, address }, firewall =>
    firewall.deleteGrant(service, version, address),
  )
  const sentence = revokedText(source, service)
  if (change.changed) await logChange(socket, sentence, { action: 'delete', service, source })
  return sentence
}

/** Lets the grant run for `seconds` from now on; a grant by hand that ends later stays as it is. */
export async function extendGrant({ service, source }: GrantLine, seconds: number, socket: string): Promise<string> {
  const { version, address } = parseAddress(splitPrefix(source).address)
  const message = { request: 'add', service, address, seconds, keepLonger: true } as const
  const comment = await ownComment()
  const change = await changeGrant({ socket }, message, firewall =>
    firewall.addGrant(service, version, address, seconds, true, comment),
  )
  if (!change.changed) return `${source} may use ${service} for longer already`
  const sentence = grantedText(source, service, seconds)
  await logChange(socket, sentence, { action: 'add', service, source, seconds })
  return sentence
}
