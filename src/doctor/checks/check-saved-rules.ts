/** Rules of pkctl in files of others: what they bring back at boot. */
import { count } from '../../util/index.js'
import type { SavedRules } from '../facts.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'

export function checkSavedRules(saved: readonly SavedRules[]): Finding[] {
  return saved.map(({ path, hasTable, grants, hasQueueRule }) => {
    const subject = { path }
    if (grants > 0) {
      return finding(
        'saved-rules',
        `${path} holds ${count(grants, 'grant')} of pkctl: whenever it is loaded, as at boot, those sources have access until pkctl-rules.service or pkctld removes the grants, also if you revoked them`,
        `take 'table inet pkctl' out of it; pkctl-rules.service and pkctld make the table themselves`,
        subject,
      )
    }
    const what = hasTable ? 'the table of pkctl' : hasQueueRule ? 'the iptables rule of pkctl' : 'rules of pkctl'
    return finding(
      'saved-rules',
      `${path} holds ${what}: whenever it is loaded, as at boot, it returns as it was then`,
      'take it out of that file; pkctl-rules.service and pkctld make it themselves',
      { ...subject, level: 'note' },
    )
  })
}
