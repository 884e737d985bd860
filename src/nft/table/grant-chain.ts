/** The second base chain of the packet path: what the answers from user space do, by the mark of their verdict. */
import { ipFamilies } from '../../net/index.js'
import type { Command, Expression, Hook, Json } from '../json.js'
import * as j from '../json.js'
import type { Listing } from '../listing.js'
import { packetsOf } from '../listing.js'
import { shapeMatches } from './knock-shapes.js'
import type { Marks } from './marks.js'
import { clearMark, ownBits } from './marks.js'
import type { GrantAction, PacketPathSpec } from './packet-path-spec.js'
import { deletePending } from './pending-sources.js'
import type { SequencePorts } from './sequence-rules.js'
import { stepShapes } from './sequence-rules.js'
import { setOf } from './service-sets.js'
import { prefixOf } from './service-spec.js'

const grantPriority = -149

export const grantChainOf = (hook: Hook): string => `grant-${hook}`
/** The verdict map from marks to the chains of actions. */
export const grantMap = 'grants'
const actionChain = ({ number }: GrantAction) => `grant-${number}`

export function grantRules({ hook, marks, actions, shapes, sequencePorts }: PacketPathSpec): Command[] {
  const ours = ownBits(marks)
  return [
    ...actions.flatMap(action => actionRules(action, marks)),
    j.addVerdictMap({ name: grantMap, type: 'mark' }),
    ...actions.map(action =>
      j.addElements(grantMap, [[marks.action(action.number), j.goto(actionChain(action))] as Json]),
    ),
    j.addChain('answer'),
    // A connection that waited behind a knock: the gate judges it like any other, without a trace of the wait.
    j.addRule('answer', [j.match(ours, '==', marks.pending), clearMark(marks), j.return_()]),
    // A step of a sequence that was not answered goes on as well.
    ...(sequencePorts ? [marks.step, marks.strayStep] : []).map(bits =>
      j.addRule('answer', [j.match(ours, '==', bits), j.counter(), clearMark(marks), j.return_()], unansweredComment),
    ),
    j.addChain('answered'),
    j.addRule('answered', [j.vmap(ours, grantMap)]),
    // Refused, or never answered: a queue without a reader, or that overflows, lets its packets go on to here.
    j.addRule('answered', [j.match(ours, '==', marks.candidate), j.counter(), j.drop()], unansweredComment),
    j.addRule('answered', [j.counter(), j.drop()], 'refused'),
    ...shapeMatches(shapes).map(shape => j.addRule('answer', [...shape, j.goto('answered')])),
    ...(sequencePorts ? [j.addChain('stepped'), ...stepAnswers(ours, sequencePorts)] : []),
    j.addBaseChain(grantChainOf(hook), hook, grantPriority),
    j.addRule(grantChainOf(hook), [j.match(ours, '!=', 0), j.goto('answer')]),
  ]
}

function actionRules(action: GrantAction, marks: Marks): Command[] {
  const chain = actionChain(action)
  return [
    j.addChain(chain),
    ...action.grants.flatMap(({ service, seconds }) =>
      ipFamilies.map(version =>
        j.addRule(chain, [
          j.match(j.meta('nfproto'), '==', version === 4 ? 'ipv4' : 'ipv6'),
          ...grantStatements(
            action,
            setOf(service.name, 'knock', version),
            j.source(version, prefixOf(service, version)),
            seconds,
          ),
        ]),
      ),
    ),
    // Only here, and not for what is refused: elements that are deleted stay in the set's hash until they are collected,
    // and a flood of one source would pile them up in one place of it.
    ...ipFamilies.map(version => j.addRule(chain, [deletePending(version)])),
    j.addRule(chain, [j.counter(), ...(action.passOn ? [clearMark(marks), j.return_()] : [j.drop()])]),
  ]
}

/** A grant without end replaces what is there: an update without a timeout would leave an element its own. */
function grantStatements({ revokes }: GrantAction, set: string, source: Json, seconds: number): Expression[] {
  if (revokes) return [j.deleteFromSet(set, source)]
  if (seconds !== Infinity) return [j.updateSet(set, source, seconds)]
  return [j.deleteFromSet(set, source), j.addToSet(set, source)]
}

/** The last step of a sequence, with its action; any other mark on such a packet is another program's. */
function stepAnswers(ours: Json, ports: SequencePorts): Command[] {
  return [
    j.addRule('stepped', [j.vmap(ours, grantMap)]),
    ...stepShapes(ports).map(shape => j.addRule('answer', [...shape, j.goto('stepped')])),
  ]
}

const unansweredComment = 'unanswered'

/** Knocks, and steps of sequences, that came by the queue without an answer: it was full, or had no reader. */
export function unansweredPackets(listing: Listing): number {
  return ['answer', 'answered']
    .flatMap(chain => listing.chains.get(chain)?.rules ?? [])
    .filter(rule => rule.comment === unansweredComment)
    .reduce((sum, rule) => sum + packetsOf(rule), 0)
}
