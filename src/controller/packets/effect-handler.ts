/** What follows a decision outside of the packet worker: commands, grants made by nft, and the record of signed knocks. */
import type { Effect } from '../report/knock-events.js'
import type { KnockCommands } from '../triggers/knock-commands.js'
import type { Log } from '../report/log-interface.js'
import type { OnBehalfGrants } from '../grants/on-behalf-grants.js'
import type { RotationTimer } from '../ruleset/rotation-timer.js'
import type { KnockGrants } from '../grants/knock-grants.js'

interface EffectParts {
  readonly commands: Pick<KnockCommands, 'opened' | 'closed'>
  readonly onBehalf: Pick<OnBehalfGrants, 'request' | 'revoke'>
  readonly signed: Pick<KnockGrants, 'note'>
  readonly rotationTimer: Pick<RotationTimer, 'runNow'>
  /** Gets the number of each effect that the packet worker waits for, when it is carried out or has failed. */
  readonly onCarriedOut: (awaited: number) => void
  readonly log: Log
}

export class EffectHandler {
  constructor(readonly parts: EffectParts) {}

  handle(effect: Effect): void {
    const { commands, onBehalf, signed } = this.parts
    const { kind, credential } = effect
    if (kind === 'opened') commands.opened(credential, effect.address)
    else if (kind === 'closed') commands.closed(credential, effect.address)
    else if (kind === 'signed') signed.note(effect)
    else if (kind === 'on-behalf') {
      const { awaited, address, part } = effect
      const request = onBehalf.request(credential, address, part)
      if (awaited !== undefined) void request.then(() => this.parts.onCarriedOut(awaited))
    } else if (kind === 'revoke') onBehalf.revoke(credential, effect.address, effect.part)
    else void this.#installNextSequence(credential)
  }

  async #installNextSequence(credential: string): Promise<void> {
    const { rotationTimer, log } = this.parts
    if (!(await rotationTimer.runNow(`the next sequence of ${credential} could not be put in place`))) return
    log.info(`a sequence of ${credential} is used up; from now on the next one counts`, { credential })
  }
}
