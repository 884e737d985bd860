/** Rules of others, read from nft and iptables-save. */
export { currentMarkSetters } from './current-marks.js'
export { markSetters } from './mark-setters.js'
export type { Condition, Rule, RuleChain } from './rule.js'
export type { Ruleset, SetFill } from './ruleset.js'
export { parseRuleset } from './ruleset.js'
export type { SavedPart } from './saved-rules.js'
export { savedPart } from './saved-rules.js'
export { savedTables, withSavedTables } from './saved-tables.js'
