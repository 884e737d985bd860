/** Whether somebody hears the knocks. */
import type { Status } from '../../controller/index.js'
import { count } from '../../util/index.js'
import type { DaemonFacts, Facts } from '../facts.js'
import type { Finding } from '../finding.js'
import { finding } from '../finding.js'

export function checkDaemon(facts: Facts, version: string): Finding[] {
  const { daemon } = facts
  return daemon.state === 'answers' ? judgeRunning(daemon.status, facts, version) : judgeAbsent(daemon, facts)
}

const start = 'systemctl start pkctld'

function judgeAbsent(
  { state, socket, queueReader }: DaemonFacts,
  { configuration: { config }, kernel }: Facts,
): Finding[] {
  const wanted = config?.credentials.some(({ enabled }) => enabled) ?? false
  const number = config?.queue.number ?? kernel?.queue ?? null
  const findings: Finding[] = []
  if (queueReader !== null) {
    const who = queueReader.name === null ? 'another program' : `process ${queueReader.port} (${queueReader.name})`
    if (queueReader.isPkctld && state !== 'mute' && state !== 'forbidden') {
      return [
        finding(
          'daemon-elsewhere',
          `a pkctld, process ${queueReader.port}, reads queue ${number}, and does not answer at ${socket}`,
          'name its socket with --socket, or its configuration with --config; if it hangs, restart it',
          { path: socket },
        ),
      ]
    }
    if (!queueReader.isPkctld) {
      findings.push(
        finding(
          'queue-taken',
          `queue ${number} is read by ${who}: pkctld cannot listen there`,
          "end that program, or choose another number with 'queue: number'",
        ),
      )
    }
  }
  if (state === 'forbidden') return findings
  if (state === 'mute') {
    return [
      ...findings,
      finding(
        'daemon-mute',
        `pkctld accepts the connection at ${socket} and does not answer`,
        'systemctl restart pkctld; its log may say why',
        { path: socket },
      ),
    ]
  }
  if (wanted) {
    const closed = 'what is closed stays closed, and grants end by themselves'
    findings.push(finding('daemon-not-running', `pkctld is not running, so no client can knock; ${closed}`, start))
  }
  if (state === 'dead') {
    findings.push(
      finding(
        'socket-dead',
        `the socket ${socket} exists and no daemon serves it: pkctld was killed, or crashed`,
        `${start}; it takes the socket over`,
        { path: socket },
      ),
    )
  }
  if (kernel !== null && kernel.queue !== null && queueReader === null && kernel.queue === number) {
    findings.push(
      finding(
        'queue-unread',
        `the ruleset still sends knocks to queue ${kernel.queue}, which no daemon reads: they are dropped`,
        `${start}; pkctl status shows whether it listens`,
      ),
    )
  }
  return findings
}

function judgeRunning(status: Status, { configuration, kernel, daemon }: Facts, version: string): Finding[] {
  const findings: Finding[] = []
  const say = (...parts: Parameters<typeof finding>) => findings.push(finding(...parts))
  const { queue } = status
  if (status.version !== version) {
    say(
      'daemon-other-version',
      `pkctld is release ${status.version}, and pkctl is ${version}`,
      'systemctl restart pkctld',
    )
  }
  if (status.config !== configuration.file) {
    say(
      'daemon-other-configuration',
      `pkctld reads ${status.config}, and pkctl doctor reads ${configuration.file}`,
      `pkctl doctor --config ${status.config}`,
      { path: configuration.file },
    )
  } else if (configuration.changedAt !== null && configuration.changedAt > status.configuredAt) {
    say(
      'configuration-changed',
      `${configuration.file} or a file of conf.d was changed after pkctld read it: the change is not active`,
      'pkctl check, then pkctl reload',
      { path: configuration.file },
    )
  }
  if (daemon.queueReader === null && configuration.config?.queue.number === queue.number) {
    say(
      'queue-unread',
      `pkctld runs, and no program reads queue ${queue.number}: no knock is answered`,
      'systemctl restart pkctld',
    )
  }
  if (queue.unanswered > 0) {
    say(
      'queue-overflow',
      `queue ${queue.number} has recently left ${count(queue.unanswered, 'knock')} without an answer: it was full, or no program read it${queue.native ? '' : ', or another program removed its rule'}; some may have been valid`,
      "see who sends so much; 'queue: max-length' makes room, 'limits: total' bounds it",
    )
  }
  const { ofOtherMinutes = 0 } = status.knocks
  if (ofOtherMinutes > 0) {
    say(
      'wrong-minute',
      `${count(ofOtherMinutes, 'packet')} of the right size came in the wrong minute: the clock of a client may be wrong, or that of this machine`,
      'compare the clocks; packets that are no knocks, but as long as one, count as well',
    )
  }
  if (status.strayPackets > 0) {
    say(
      'queue-shared',
      `${count(status.strayPackets, 'packet')} came to queue ${queue.number} by a rule that is not pkctl's`,
      "nft list ruleset shows it; use another number there, or with 'queue: number' here",
    )
  }
  if (kernel && status.credentials > 0 && kernel.queue === null) {
    say(
      'packet-path-missing',
      'pkctld runs, and the kernel has no rules that pass knocks to it: another program removed them, so no client can knock',
      'pkctl reload restores them; see below what flushes the ruleset',
    )
  }
  if (kernel?.queued === false && kernel.queue !== null) {
    say(
      'queue-rule-missing',
      'the rule of iptables-nft that brings knocks into the queue is missing from table mangle: no client can knock',
      'pkctl reload restores it',
    )
  }
  if (!status.watched) {
    const because = status.unwatchedBecause === undefined ? '' : `, because ${status.unwatchedBecause}`
    say(
      'ruleset-not-watched',
      `pkctld does not see at once what others do to the ruleset${because}: ports that they open stay open for some seconds`,
      'pkctl reload restores the rules; if this stays so, the log of pkctld says why nft monitor ends',
    )
  }
  if (status.signatures === 'down') {
    say(
      'signatures-down',
      'pkctld runs, and its thread that verifies signatures does not: no knock that an SSH key signs is accepted',
      'pkctld starts it again within a minute; its log says why it ended',
    )
  }
  findings.push(...judgeSelfTest(status.selfTest))
  if (status.table?.because !== undefined) {
    say(
      'table-not-owned',
      `pkctld does not own its table: ${status.table.because}; a flush by another program opens the ports for a moment`,
      "take 'table inet pkctl' out of such a file, or let the user of pkctld read it; pkctld notices that by itself",
    )
  }
  return findings
}

const remedies = {
  rules: 'see below which rule drops knocks; a restart of pkctld does not help',
  queue: 'pkctl status shows how many packets wait; pkctl reload restores the rule that queues them',
  reader: 'systemctl restart pkctld; its log may say why',
  nft: 'the log of pkctld says what nft does; a program may hold the lock, or nft hangs',
} as const

function judgeSelfTest(selfTest: Status['selfTest']): Finding[] {
  const { result, cause = 'reader', because = '' } = selfTest ?? {}
  if (result === 'failed')
    return [finding('self-test-failed', `the last knock of pkctld on itself failed: ${because}`, remedies[cause])]
  if (result === 'impossible')
    return [
      finding(
        'self-test-impossible',
        `pkctld cannot knock on itself: ${because}; it does not notice by itself when no knock is heard`,
        "allow it, or turn it off with 'self-test: off'",
      ),
    ]
  return []
}
