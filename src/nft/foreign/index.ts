/** Rules of others, read from nft and iptables-save. */
export { parseSavedRules } from './iptables-save.js'
export type { Condition, Rule, RuleChain } from './rule.js'
export type { Ruleset, SetFill } from './ruleset.js'
export { parseRuleset } from './ruleset.js'
export type { SavedPart } from './saved-rules.js'
export { savedPart } from './saved-rules.js'
