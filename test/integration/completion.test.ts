/** Completion in the shells themselves: what is typed, with a tab, and what comes of it. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { must, pkctl, run } from '../support/commands.js'
import { client4, Lab, stranger4 } from '../support/lab.js'
import type { ShellOptions } from '../support/typing.js'
import { typeInto } from '../support/typing.js'

describe('completion', () => {
  let lab: Lab
  let options: ShellOptions

  before(async () => {
    lab = await Lab.create()
    lab.file('bin/pkctl', `#!/bin/sh\nexec ${process.execPath} ${pkctl} "$@"\n`, 0o755)
    for (const [shell, name] of [
      ['bash', 'bash'],
      ['zsh', 'functions/_pkctl'],
      ['fish', 'fish'],
    ] as const) {
      lab.file(name, await must([process.execPath, pkctl, 'completion', shell]))
    }
    await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn')
    await lab.mustPkctl('init', 'web', '--port', '80', '--syn')
    options = { start: argv => lab.start('server', argv), path: `${lab.directory}/bin:${process.env['PATH']}` }
  })
  after(() => lab.remove())

  const granted = async (service: string) => {
    const { services } = JSON.parse(await lab.mustPkctl('list', service, '--json')) as {
      services: { grants: { source: string }[] }[]
    }
    return services.flatMap(({ grants }) => grants.map(({ source }) => source))
  }

  it('bash completes the service of pkctl add, and the command is run with it', async () => {
    const output = await typeInto('bash --norc --noprofile -i', options, [
      `source ${lab.directory}/bash`,
      `pkctl add ${client4} --service w\t --for 1h`,
      'pkctl comp\tba\t | head -n 1',
    ])
    assert.deepEqual(await granted('web'), [client4], output)
    assert.match(output, /# bash completion of pkctl/)
  })

  it('bash knows commands, options, choices and files', async () => {
    const complete = async (...words: string[]) => {
      const script = `source ${lab.directory}/bash; compopt() { :; }; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pkctl; echo "\${COMPREPLY[*]}"`
      const env = { PATH: options.path }
      return (await lab.on(['bash', '-c', script, 'bash', 'pkctl', ...words], { env })).stdout.trim()
    }
    assert.equal(await complete('re'), 'remove revoke reload')
    assert.equal(await complete('list', ''), 'ssh web')
    assert.equal(await complete('add', client4, '--service', ''), 'ssh web')
    assert.equal(await complete('init', 'x', '--protocol', 's'), 'sctp')
    assert.equal(await complete('add', '--fo'), '--for')
    assert.equal(await complete('check', '--config', `${lab.directory}/ba`), `${lab.directory}/bash`)
    assert.equal(await complete('add', client4, '--for', ''), '')
  })

  it('zsh completes the same', async () => {
    const output = await typeInto('zsh -f -i', options, [
      `fpath=(${lab.directory}/functions $fpath); autoload -U compinit; compinit -u -D`,
      `pkctl ad\t ${stranger4} --serv\t w\t --for 1h`,
    ])
    assert.ok((await granted('web')).includes(stranger4), output)
  })

  it('fish completes the same', async () => {
    const complete = async (line: string) => {
      const env = { PATH: options.path, HOME: lab.directory }
      const { stdout } = await lab.on(['fish', '-c', `source ${lab.directory}/fish; complete -C '${line}'`], { env })
      return stdout.split('\n').map(each => each.split('\t')[0])
    }
    assert.deepEqual(await complete('pkctl re'), ['reload', 'remove', 'revoke', ''])
    assert.deepEqual(await complete(`pkctl add ${client4} --service `), ['ssh', 'web', ''])
    assert.deepEqual(await complete('pkctl init x --protocol s'), ['sctp', ''])
  })

  it('is not there for other shells', async () => {
    const { status, stderr } = await run([process.execPath, pkctl, 'completion', 'csh'])
    assert.equal(status, 2)
    assert.match(stderr, /^pkctl: error: .*'csh'.*bash, zsh, fish/)
  })
})
