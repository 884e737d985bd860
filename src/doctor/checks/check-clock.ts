/** Whether the clock can be relied on, where knocks depend on it. */
import type { Facts } from '../facts.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'
import { listed } from './descriptions.js'

export function checkClock({ clock, configuration: { config } }: Facts): Finding[] {
  const timed = (config?.credentials ?? []).filter(
    credential =>
      credential.enabled && (credential.type === 'rotating' || ('skew' in credential && credential.skew !== -1)),
  )
  if (timed.length === 0 || clock === 'synchronised') return []
  const names = timed.map(({ name }) => name)
  const who = names.length > 3 ? `${names.length} credentials` : listed(names)
  if (clock === 'unknown') {
    return [
      finding(
        'clock-unknown',
        `whether the clock is synchronised is not known, and ${who} depends on it`,
        'see timedatectl, or chronyc tracking',
      ),
    ]
  }
  return [
    finding(
      'clock-unsynchronised',
      `the kernel says that the clock is not synchronised: when it has drifted, valid knocks of ${who} are refused`,
      'run systemd-timesyncd or chrony; where the host sets the clock of this machine, the time may be right',
    ),
  ]
}
