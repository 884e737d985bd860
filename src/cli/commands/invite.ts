import { Command } from 'commander'
import { addUser, keyPlaces, placeFor } from '../../users/index.js'
import type { Terminal } from '../../util/index.js'
import { defaultConfig, UserError } from '../../util/index.js'
import { hostOf, invitationFor, makeIdentity } from '../server/make-invitation.js'
import { checkUserName, madeText, parseKeyFlag } from '../flags/public-key-flag.js'
import { drawQrCode, qrCode } from '../output/qr-code.js'
import { whiteOnBlack } from '../output/real-terminal.js'

interface InviteFlags {
  readonly config: string
  readonly host?: string
  readonly qr?: boolean
  readonly key?: string
}

const help = `
The line contains the address of this server, the port of the knock, the identity, and the services. For a user with an SSH
key, it contains no secret. For a credential of type symmetric, it contains the key: send it so that others cannot read it.

On the server:   pkctl invite alice --host server.example
At the client:   pkctl join 'pkctl://server.example?id=pk1:…'`

export function inviteCommand(terminal: Terminal): Command {
  return new Command('invite')
    .description('print one line by which a client can knock here: see pkctl join')
    .argument('<name>', 'a user with an SSH key, or a credential of type ssh or symmetric')
    .option(
      '--host <host>',
      'name or address of this server, as clients reach it (default: its host name, if it has a domain)',
    )
    .option('--key <file>', "the user's public key, or - for stdin: adds the user, as pkctl user add does")
    .option('--qr', 'also draw the line as a QR code')
    .option('--config <file>', 'configuration', defaultConfig)
    .addHelpText('after', help)
    .action((name: string, flags: InviteFlags) => {
      const host = hostOf(flags.host)
      if (makeIdentity(flags.config))
        terminal.hint('this server has an identity now, which pkctld reads at its next start or reload')
      if (flags.key !== undefined) add(name, flags.key, flags.config, terminal)
      const { line, credential, hasSecret } = invitationFor(name, host, flags.config)
      if (flags.qr) draw(line, terminal)
      terminal.out(line)
      if (hasSecret)
        terminal.warn('the line has the secret key of the credential: send it so that others cannot read it')
      if (!credential.enabled) terminal.warn(`credential ${credential.name} is not enabled: its knocks do not count`)
    })
}

function add(name: string, key: string, config: string, terminal: Terminal): void {
  checkUserName(name)
  const place = placeFor(keyPlaces(config), undefined, config)
  const all = { opens: undefined, window: undefined, expiresAt: undefined }
  const { changed, made } = addUser(place, { name, key: parseKeyFlag(key).text, ...all })
  for (const list of made) terminal.hint(madeText(list))
  if (changed) terminal.hint(`${name} is a new user of credential ${place.credential}`)
}

function draw(line: string, terminal: Terminal): void {
  const modules = qrCode(line)
  if (!modules) throw new UserError('the line is too long for a QR code', 'leave --qr out')
  for (const row of drawQrCode(modules).split('\n')) terminal.out(whiteOnBlack(row))
}
