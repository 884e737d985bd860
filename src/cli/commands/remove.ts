import { Command } from 'commander'
import { realFirewall } from '../../nft/index.js'
import type { Terminal } from '../../util/index.js'
import { nearest } from '../../util/index.js'
import type { ChangeFlags } from '../changes/change.js'
import { report, tellDaemon, withChangeFlags } from '../changes/change.js'
import { checkServiceName } from '../flags/flag-values.js'
import { removedText } from '../output/service-text.js'

export function removeCommand(terminal: Terminal): Command {
  const command = new Command('remove')
    .description('remove a service: its port is open to every source again')
    .argument('<name>', 'name of the service')
  return withChangeFlags(command).action(async (name: string, flags: ChangeFlags) => {
    const change = await realFirewall(flags).removeService(checkServiceName(name))
    await tellDaemon(terminal, flags)
    const { removed, left } = change.plan
    const sentence = change.changed
      ? removed.map(({ spec }) => removedText(spec)).join('; ')
      : `there is no service ${name}`
    await report(terminal, flags, { service: name }, change, sentence, { action: 'remove', service: name })
    const meant = change.changed ? undefined : nearest(name, left)
    if (meant !== undefined) terminal.hint(`did you mean '${meant}'?`)
  })
}
