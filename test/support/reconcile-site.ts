/** A server that protects ports and restores its rules, and another program that changes them. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import type { Status } from '../../src/controller/report/collect-status.js'
import type { Background } from './commands.js'
import path from 'node:path'
import { dist, must, sleep, until } from './commands.js'
import { knockHex, knockPort } from './knocks.js'
import { client4, Lab, server4, server6, stranger4, stranger6 } from './lab.js'

export const config = [
  'services:',
  '  ssh: { port: 22, window: 600, allow: [192.168.99.0/24] }',
  '  once: { port: 2222, window: 600, single-use: true }',
  '  many: { port: 9100-9110 }',
  'credentials:',
  '  laptop: { type: pkd, tag: SSHK, key: test, opens: [ssh] }',
  '  ticket: { type: pkd, tag: TICK, key: test, opens: [once] }',
].join('\n')

/** What the daemon says when nothing escapes it any more. */
export const watched = /the ruleset is watched/

export class ReconcileSite {
  private constructor(
    readonly lab: Lab,
    public daemon: Background,
  ) {}

  readonly pktables = path.join(dist, 'src/cli/pktables.js')

  /** `prepare` is called before anything runs. */
  static async create(body = config, prepare: (lab: Lab) => void = () => undefined): Promise<ReconcileSite> {
    const lab = await Lab.create()
    prepare(lab)
    await lab.serve(22, 2222, 8080)
    const site = new ReconcileSite(lab, await lab.daemon(lab.config(body)))
    await site.daemon.says(watched)
    return site
  }

  async restart(body = config): Promise<void> {
    await this.daemon.stop('SIGKILL')
    this.daemon = await this.lab.daemon(this.lab.config(body))
    await this.daemon.says(watched)
  }

  nft(...args: string[]): Promise<string> {
    return must(['ip', 'netns', 'exec', this.lab.server, 'nft', ...args])
  }

  async restorations(): Promise<number> {
    return (JSON.parse(await this.lab.mustPkctl('status', '--json')) as Status).healed
  }

  async restored(times: number): Promise<void> {
    // nft 1.0.6 cannot always list a table that sleeps, so that there may be no status for a moment.
    await until(async () => (await this.restorations().catch(() => -1)) >= times).catch((error: unknown) => {
      throw new Error(`not restored:\n${this.daemon.output}`, { cause: error })
    })
  }

  async knock(host: string, from: string, tag = 'SSHK'): Promise<void> {
    await this.lab.peer({ send: { host, from, port: knockPort, hex: knockHex({ tag }) } })
  }

  async closedTo(host: string, from: string, port = 22): Promise<void> {
    assert.equal(await this.lab.opens(host, from, port), 'timeout', `${from} to ${port}`)
  }

  async openTo(host: string, from: string, port = 22): Promise<void> {
    assert.equal(await this.lab.opens(host, from, port), 'open', `${from} to ${port}`)
  }

  /** The number of the first rule of a chain that matches. */
  async handleOf(chain: string, pattern: RegExp): Promise<string> {
    const lines = (await this.nft('-a', 'list', 'chain', 'inet', 'pkctl', chain)).split('\n')
    return /# handle (\d+)/.exec(lines.find(text => pattern.test(text)) ?? '')?.[1] ?? ''
  }

  /** The daemon's `nft monitor`. */
  monitor(): number | undefined {
    return this.#child(command => command.startsWith('nft\0monitor'))
  }

  /** The daemon's `nft -j -i` that owns the table, also where another loader runs it. One that waits to close ports is older. */
  session(): number | undefined {
    return this.#child(command => command.endsWith('nft\0-j\0-i\0'))
  }

  #child(is: (command: string) => boolean): number | undefined {
    const { pid } = this.daemon.child
    const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number)
    const commandOf = (child: number) => {
      try {
        return fs.readFileSync(`/proc/${child}/cmdline`, 'utf8')
      } catch {
        return ''
      }
    }
    return children.findLast(child => is(commandOf(child)))
  }

  /** Seconds that are left of the grants of a source, by set. */
  async left(source: string): Promise<Record<string, number>> {
    const { nftables } = JSON.parse(await this.nft('-j', 'list', 'table', 'inet', 'pkctl')) as {
      nftables: { set?: { name: string; elem?: { elem?: { val: string; expires: number } }[] } }[]
    }
    const found = nftables.flatMap(({ set }) =>
      (set?.elem ?? []).flatMap(({ elem }) => (set && elem?.val === source ? [[set.name, elem.expires] as const] : [])),
    )
    return Object.fromEntries(found)
  }

  /** All is as it was: strangers are kept out, knocks open, and the daemon does not mend any more. */
  async allIsWell(times: number): Promise<void> {
    const outcomes = await this.lab.peer(
      { connect: { host: server4, port: 22, from: stranger4 } },
      { connect: { host: server6, port: 22, from: stranger6 } },
      { send: { host: server4, from: client4, port: knockPort, hex: knockHex() } },
      { connect: { host: server4, port: 22, from: client4 } },
    )
    assert.deepEqual(
      outcomes.map(({ result }) => result),
      ['timeout', 'timeout', 'sent', 'open'],
    )
    await sleep(300)
    assert.equal(await this.restorations(), times)
  }
}
