/** Foreign rules that refuse sources with a grant, or lead around pkctl. */
import type { Facts } from '../facts.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'
import { publishedPast } from './check-address-translation.js'
import { closedBy, droppedKnocks } from './check-foreign-drops.js'
import { foreignMarks, foreignQueues } from './check-foreign-marks.js'
import { checkSavedRules } from './check-saved-rules.js'

export function checkForeignRules({ kernel, configuration: { config }, machine, saved, daemon }: Facts): Finding[] {
  // A flush leaves a table with an owner as it is.
  const isOwned = daemon.state === 'answers' && daemon.status.table?.mode === 'owned'
  const flush =
    machine.nftablesServiceFlushes && !isOwned
      ? [
          finding(
            'ruleset-flushed-at-start',
            "nftables.service is enabled, and /etc/nftables.conf flushes all rules whenever it starts or reloads, pkctl's too",
            'let pkctld start after it and follow it, as templates/pkctld.service does; pkctl reload restores the rules',
          ),
        ]
      : []
  const atBoot = [...checkSavedRules(saved), ...flush]
  if (!kernel) return atBoot
  const specs = [...kernel.services.values()].map(({ spec }) => spec)
  return [
    ...specs.flatMap(spec => closedBy(spec, kernel)),
    ...(config ? droppedKnocks(config, kernel) : []),
    ...specs.flatMap(spec => publishedPast(spec, specs, kernel)),
    ...(config ? foreignMarks(config, kernel) : []),
    ...(config ? foreignQueues(config, kernel) : []),
    ...atBoot,
  ]
}
