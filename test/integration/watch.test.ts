/** `pkctl watch` on a real terminal of 80 columns, in tmux, and as lines where there is none. */
import assert from 'node:assert/strict'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { pkctl, terminalEnvironment, until } from '../support/commands.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'
import { knockHex, knockPort } from '../support/knocks.js'

const key = 'watched'
const body = `services:
  ssh: { port: 22, window: 1h }
credentials:
  laptop: { type: pkd, tag: PKD0, key: ${key}, opens: [ssh] }`

describe('pkctl watch', () => {
  let lab: Lab
  let watch: string[]

  before(async () => {
    lab = await Lab.create()
    await lab.serve(22)
    const config = lab.config(body)
    await lab.daemon(config)
    watch = [process.execPath, pkctl, 'watch', '--config', config, '--socket', lab.socket]
  })
  after(() => lab.remove())

  const knock = () =>
    lab.peer({ send: { hex: knockHex({ tag: 'PKD0', key }), host: server4, port: knockPort, from: client4 } })

  describe('in a terminal', () => {
    const tmux = (...argv: string[]) =>
      lab.on(['tmux', '-f', '/dev/null', '-S', path.join(lab.directory, 'tmux'), ...argv], { env: terminalEnvironment })
    const screen = async () => (await tmux('capture-pane', '-p')).stdout
    const shows = (pattern: RegExp) => until(async () => pattern.test(await screen()))

    before(async () => {
      const started = await tmux('new-session', '-d', '-x', '80', '-y', '24', `${watch.join(' ')}; echo left; exec cat`)
      assert.equal(started.status, 0, started.stderr)
      await shows(/GRANTS/)
    })
    after(() => tmux('kill-server'))

    it('shows a knock as it comes, its grant, and the time that runs down', async () => {
      assert.match(
        await screen(),
        /^pkctld \S+, up 0 min; queue 62:[^]*\nssh +22\/tcp +0 grants; packets: [^]*GRANTS\n {2}none\n/,
      )
      await knock()
      await shows(/\n> 10\.77\.0\.2 +ssh +59 min \d+ s left +by knock\n/)
      await shows(/LOG\n[^]*knock by laptop from 10\.77\.0\.2 opens ssh/)
      const left = async () => Number(/(\d+) s left/.exec(await screen())?.[1])
      const first = await left()
      await until(async () => (await left()) !== first)
    })

    it('counts what is refused, and filters', async () => {
      await lab.opens(server4, stranger4)
      await shows(/ssh +22\/tcp +1 grant; packets: .* [1-9]\d*( \(\d+\/s\))? refused/)
      await tmux('send-keys', '/', '192.0.2', 'Enter')
      await shows(/GRANTS\n {2}none with 192\.0\.2\n/)
      await tmux('send-keys', 'Escape')
      await shows(/\n> 10\.77\.0\.2 /)
    })

    it('extends and revokes the selected grant, and only after y', async () => {
      await tmux('send-keys', 'r')
      await shows(/revoke the grant of 10\.77\.0\.2 for ssh\? y\/n/)
      await tmux('send-keys', 'n')
      await shows(/\n> 10\.77\.0\.2 [^]*q quit/)
      await tmux('send-keys', 'e')
      await shows(/let 10\.77\.0\.2 use ssh for 60 min from now on\? y\/n/)
      await tmux('send-keys', 'y')
      await shows(/10\.77\.0\.2 may use ssh for 60 min/)
      await shows(/ssh +22\/tcp +[12] grants?;[^]*by hand/)
      await tmux('send-keys', 'r', 'y')
      await shows(/GRANTS\n {2}none\n[^]*10\.77\.0\.2 may no longer use ssh/)
      assert.equal(await lab.opens(server4, client4), 'timeout')
    })

    it('has bold text, and with NO_COLOR plain text', async () => {
      // With the colours and attributes of the text.
      const attributes = async (window: string) => {
        await until(async () => (await tmux('capture-pane', '-p', '-t', window)).stdout.includes('GRANTS'))
        return (await tmux('capture-pane', '-p', '-e', '-t', window)).stdout
      }
      assert.ok((await attributes(':0')).includes('\u001b['))
      await tmux('new-window', '-d', '-n', 'plain', `NO_COLOR=1 ${watch.join(' ')}`)
      assert.ok(!(await attributes(':plain')).includes('\u001b'))
      await tmux('kill-window', '-t', ':plain')
    })

    it('leaves the terminal as it was', async () => {
      await tmux('send-keys', 'q')
      await shows(/^left\n/)
    })
  })

  it('prints plain lines where there is no terminal', async () => {
    const lines = lab.start('server', watch)
    await lab.pkctl('add', '192.0.2.9', '--service', 'ssh')
    await lines.says(/^\+ 192\.0\.2\.9 ssh by hand {2}no time limit$/m)
    await lab.pkctl('delete', '192.0.2.9', '--service', 'ssh')
    await lines.says(/^- 192\.0\.2\.9 ssh by hand$/m)
    assert.ok(!lines.output.includes('\u001b'))
    await lines.stop()
  })
})
