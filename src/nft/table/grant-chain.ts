/**
 * What the answers from user space do, by the mark of their verdict: the chain to which the gate sends what has bits of
 * pkctl in its mark, before it looks for services.
 *
 * A mark alone does nothing. Knocks and steps are known by their shape again; what else has such bits, other programs
 * have marked, and goes on as it came.
 */
import type { IpFamily } from '../../net/index.js'
import { ipFamilies } from '../../net/index.js'
import type { Command, Expression, Hook, Json } from '../nft-json.js'
import * as j from '../nft-json.js'
import type { Listing } from '../listing.js'
import { packetsOf } from '../listing.js'
import { knocksForThisMachine, leaveOthers } from './incoming-interface.js'
import { addGate, answerChain, gateOf } from './gate.js'
import { shapeMatches, periodMatches } from './knock-shapes.js'
import type { Marks } from './marks.js'
import { clearMark, ownBits } from './marks.js'
import type { GrantAction, PacketPathSpec } from './packet-path-spec.js'
import { deletePending, isPending } from './pending-and-limits.js'
import type { SequencePorts } from './sequence-rules.js'
import { stepShapes } from './sequence-rules.js'
import { setOf } from './service-sets.js'
import type { ServiceSpec } from './service-spec.js'
import { grantPrefix } from './service-spec.js'
import { addPeriods, periodAnswerChain } from './periods.js'

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
    ...addPeriods(shapes),
    j.addChain(answerChain),
    // A connection that waited behind a knock that was never answered: the gate judges it like any other, without a trace
    // of the wait. Of those that were answered, user space has cleared the mark.
    ...ipFamilies.map(version =>
      j.addRule(answerChain, [j.match(ours, '==', marks.pending), isPending(version), clearMark(marks), j.return_()]),
    ),
    j.addChain('answered'),
    j.addRule('answered', [j.vmap(ours, grantMap)]),
    // Refused, or never answered: a queue without a reader, or that overflows, lets its packets go on to here.
    j.addRule('answered', [j.match(ours, '==', marks.candidate), j.counter(), j.drop()], unansweredComment),
    j.addRule('answered', [j.counter(), j.drop()], 'refused'),
    ...shapeMatches(shapes).flatMap(shape => answersTo(hook, shape, j.goto('answered'))),
    ...periodMatches(shapes).flatMap(shape => answersTo(hook, shape, j.jump(periodAnswerChain))),
    ...(sequencePorts ? stepAnswers(sequencePorts, marks, hook) : []),
    addGate(hook),
    j.insertRule(gateOf(hook), [j.match(ours, '!=', 0), j.jump(answerChain)]),
  ]
}

const answersTo = (hook: Hook, shape: readonly Expression[], then: Expression) =>
  knocksForThisMachine(hook, ...shape).map(expr => j.addRule(answerChain, [...expr, then]))

function actionRules(action: GrantAction, marks: Marks): Command[] {
  const chain = actionChain(action)
  return [
    j.addChain(chain),
    ...action.grants.flatMap(({ service, seconds }) =>
      ipFamilies.map(version =>
        j.addRule(chain, [
          j.match(j.meta('nfproto'), '==', version === 4 ? 'ipv4' : 'ipv6'),
          ...grantStatements(action, service, version, seconds),
        ]),
      ),
    ),
    // Only here, and not for what is refused: elements that are deleted stay in the set's hash until they are collected,
    // and a flood of one source would pile them up in one place of it.
    ...ipFamilies.map(version => j.addRule(chain, [deletePending(version)])),
    j.addRule(chain, [j.counter(), ...(action.passOn ? [clearMark(marks), j.return_()] : [j.drop()])]),
  ]
}

function grantStatements(
  { revokes }: GrantAction,
  service: ServiceSpec,
  version: IpFamily,
  seconds: number,
): Expression[] {
  const set = setOf(service.name, 'knock', version)
  const source = j.source(version, grantPrefix(service, version))
  if (revokes) return [j.deleteFromSet(set, source)]
  // A grant without a time limit replaces what is there: an update without a timeout would leave an element its own.
  const grant =
    seconds === Infinity ? [j.deleteFromSet(set, source), j.addToSet(set, source)] : [j.updateSet(set, source, seconds)]
  // That the one before was taken a moment ago does not count for this one.
  return service.singleUse ? [...grant, j.deleteFromSet(setOf(service.name, 'knock-taken', version), source)] : grant
}

/** Steps go on, the last one of a sequence with its action; any other mark on such a packet is another program's. */
function stepAnswers(ports: SequencePorts, marks: Marks, hook: Hook): Command[] {
  const ours = ownBits(marks)
  const goOn = [j.counter(), clearMark(marks), j.return_()]
  return [
    j.addChain('stepped'),
    ...leaveOthers(hook, j.return_()).map(expr => j.addRule('stepped', expr)),
    j.addRule('stepped', [j.vmap(ours, grantMap)]),
    ...[marks.step, marks.strayStep].map(bits =>
      j.addRule('stepped', [j.match(ours, '==', bits), ...goOn], unansweredComment),
    ),
    ...stepShapes(ports).map(shape => j.addRule(answerChain, [...shape, j.goto('stepped')])),
  ]
}

const unansweredComment = 'unanswered'

/** Knocks, and steps of sequences, that came by the queue without an answer: it was full, or had no reader. */
export function unansweredPackets(listing: Listing): number {
  return ['answered', 'stepped']
    .flatMap(chain => listing.chains.get(chain)?.rules ?? [])
    .filter(rule => rule.comment === unansweredComment)
    .reduce((sum, rule) => sum + packetsOf(rule), 0)
}
