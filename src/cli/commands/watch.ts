import { Command } from 'commander'
import type { Terminal } from '../../util/index.js'
import { defaultConfig, defaultSocket, durationText } from '../../util/index.js'
import { entryText, followHistory, historyDirectory } from '../output/history-text.js'
import type { HistoryEntry } from '../../daemon/history-lines.js'
import { LiveScreen } from '../watch/live-screen.js'
import type { View } from '../watch/view.js'
import { ViewReader } from '../watch/view.js'

const help = `
Shows services with their packets, grants and the time that is left, the log as it comes, and what is wrong with the daemon.
Keys: up and down or j and k select a grant, r revokes it, e extends it, / filters grants and log, q quits.
Without a terminal, it prints a line for each grant that comes or goes, and each line of the log.`

const betweenReadingsMilliseconds = 1000

export function watchCommand(terminal: Terminal): Command {
  return new Command('watch')
    .description('show services, grants and knocks as they change')
    .option('--config <file>', 'configuration', defaultConfig)
    .option('--socket <path>', "the daemon's socket", defaultSocket)
    .addHelpText('after', help)
    .action(async ({ config, socket }: { config: string; socket: string }) => {
      const reader = new ViewReader(socket, historyDirectory(config, terminal))
      if (process.stdin.isTTY && process.stdout.isTTY) await new LiveScreen(reader, terminal, socket).run()
      else await printChanges(reader, terminal)
      // What was asked last may still wait for its answer.
      process.exit(0)
    })
}

/** Until the program is ended. */
async function printChanges(reader: ViewReader, terminal: Terminal): Promise<never> {
  const newEntries = followIfAllowed(reader.directory)
  let last: View | undefined
  for (;;) {
    const view = await reader.read()
    for (const problem of view.problems.filter(one => !last?.problems.includes(one))) terminal.warn(problem)
    for (const line of differences(last, view)) terminal.out(line)
    for (const entry of newEntries()) terminal.out(entryText(entry, terminal))
    last = view
    await new Promise(resolve => setTimeout(resolve, betweenReadingsMilliseconds))
  }
}

/** That the history cannot be read is a problem of the view. */
function followIfAllowed(directory: string): () => readonly HistoryEntry[] {
  try {
    return followHistory(directory)
  } catch {
    return () => []
  }
}

function differences(before: View | undefined, view: View): string[] {
  const [old, now] = [grantsOf(before), grantsOf(view)]
  const added = [...now].filter(([name]) => !old.has(name)).map(([name, left]) => `+ ${name}  ${left}`)
  return [...added, ...[...old.keys()].filter(name => !now.has(name)).map(name => `- ${name}`)]
}

function grantsOf(view: View | undefined): Map<string, string> {
  const all = view?.services.flatMap(({ spec, grants }) =>
    grants.map(({ source, by, secondsLeft }): [string, string] => [
      `${source} ${spec.name} by ${by}`,
      secondsLeft === null ? 'no time limit' : `${durationText(secondsLeft)} left`,
    ]),
  )
  return new Map(all)
}
