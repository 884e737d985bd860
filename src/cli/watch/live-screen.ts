/** The screen of `pkctl watch` on a terminal: drawn again every second and after each key, until it is left. */
import * as readline from 'node:readline'
import type { Key } from 'node:readline'
import type { Terminal } from '../../util/index.js'
import { durationText, reasonOf } from '../../util/index.js'
import { extendGrant, revokeGrant } from './actions.js'
import type { Mode } from './keyboard.js'
import { actionOf } from './keyboard.js'
import type { GrantLine } from './screen.js'
import { drawScreen, grantLines } from './screen.js'
import type { View, ViewReader } from './view.js'

const betweenReadingsMilliseconds = 1000
/** See ctlseqs of xterm: the other screen, without a cursor; and back. */
const enterScreen = '\x1b[?1049h\x1b[?25l'
const leaveScreen = '\x1b[?25h\x1b[?1049l'

export class LiveScreen {
  #view: View | undefined
  #before: View | undefined
  #mode: Mode = { kind: 'browse' }
  #filter = ''
  #selected = 0
  #note = ''
  #redraw: NodeJS.Timeout | undefined
  #next: NodeJS.Timeout | undefined
  #leave: () => void = () => undefined

  constructor(
    readonly reader: ViewReader,
    readonly terminal: Terminal,
    readonly socket: string,
  ) {}

  /** Resolves when the user leaves, or a signal ends the program. */
  async run(): Promise<void> {
    const { stdin, stdout } = process
    const left = new Promise<void>(resolve => (this.#leave = resolve))
    const onKey = (text: string | undefined, key: Key) => void this.#onKey(text, key)
    const draw = () => {
      this.#draw()
    }
    readline.emitKeypressEvents(stdin)
    stdin.setRawMode(true)
    stdout.write(enterScreen)
    stdin.on('keypress', onKey).once('end', this.#leave).resume()
    stdout.on('resize', draw)
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.once(signal, this.#leave)
    this.#redraw = setInterval(draw, betweenReadingsMilliseconds)
    try {
      void this.#readOn()
      await left
    } finally {
      clearInterval(this.#redraw)
      clearTimeout(this.#next)
      stdin.off('keypress', onKey).setRawMode(false).pause()
      stdout.off('resize', draw)
      stdout.write(leaveScreen)
    }
  }

  /** One reading after another: one that takes long is not joined by the next. */
  async #readOn(): Promise<void> {
    const view = await this.reader.read()
    this.#before = this.#view
    this.#view = view
    this.#draw()
    this.#next = setTimeout(() => void this.#readOn(), betweenReadingsMilliseconds)
  }

  #draw(): void {
    const { columns, rows } = process.stdout
    if (!this.#view) return
    const last = grantLines(this.#view, this.#filter).length - 1
    this.#selected = Math.max(0, Math.min(this.#selected, last))
    const lines = drawScreen(this.#view, this.#before, {
      columns,
      rows,
      selected: this.#selected,
      filter: this.#filter,
      note: this.#noteNow(),
      now: performance.now(),
      strong: text => this.terminal.strong(text),
    })
    process.stdout.write(`\x1b[H${lines.map(line => `${line}\x1b[K`).join('\r\n')}\x1b[J`)
  }

  #noteNow(): string {
    if (this.#mode.kind === 'filter') return `filter: ${this.#mode.text}`
    if (this.#mode.kind === 'browse') return this.#note
    const { grant } = this.#mode
    const { source, service } = grant
    if (this.#mode.kind === 'revoke') return `revoke the grant of ${source} for ${service}? y/n`
    return `let ${source} use ${service} for ${durationText(this.#windowOf(grant))} from now on? y/n`
  }

  get #grant(): GrantLine | undefined {
    return this.#view && grantLines(this.#view, this.#filter)[this.#selected]
  }

  /** That of the service, and at least an hour. */
  #windowOf({ service }: GrantLine): number {
    const spec = this.#view?.services.find(one => one.spec.name === service)?.spec
    return Math.max(spec?.window ?? 0, 3600)
  }

  async #onKey(text: string | undefined, key: Key): Promise<void> {
    const action = actionOf(this.#mode, text, key)
    if (action.kind === 'none') return
    if (action.kind === 'quit') this.#leave()
    this.#note = ''
    this.#mode = { kind: 'browse' }
    if (action.kind === 'up' || action.kind === 'down') this.#selected += action.kind === 'up' ? -1 : 1
    if (action.kind === 'ask') {
      if (this.#grant) this.#mode = { kind: action.what, grant: this.#grant }
      else this.#note = 'no grant is selected'
    }
    if (action.kind === 'filter') {
      this.#filter = action.text
      if (!action.done) this.#mode = { kind: 'filter', text: action.text }
    }
    if (action.kind === 'do') await this.#change(action.what, action.grant)
    this.#draw()
  }

  async #change(what: 'revoke' | 'extend', grant: GrantLine): Promise<void> {
    try {
      const change =
        what === 'revoke' ? revokeGrant(grant, this.socket) : extendGrant(grant, this.#windowOf(grant), this.socket)
      this.#note = await change
    } catch (error) {
      this.#note = `error: ${reasonOf(error)}`
    }
  }
}
