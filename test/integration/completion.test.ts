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
    lab.file('config/pkctl/hosts.yaml', 'home: { host: server.example }\nhut: { host: hut.example }\n')
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
    const complete = (...words: string[]) => completeBy(options.path, ...words)
    const completeBy = async (from: string, ...words: string[]) => {
      const script = `source ${lab.directory}/bash; compopt() { :; }; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pkctl; echo "\${COMPREPLY[*]}"`
      const env = { PATH: from, XDG_CONFIG_HOME: `${lab.directory}/config` }
      return (await lab.on(['bash', '-c', script, 'bash', 'pkctl', ...words], { env })).stdout.trim()
    }
    assert.equal(await complete('re'), 'remove revoke reload')
    assert.equal(await complete('list', ''), 'ssh web')
    assert.equal(await complete('add', client4, '--service', ''), 'ssh web')
    assert.equal(await complete('init', 'x', '--protocol', 's'), 'sctp')
    assert.equal(await complete('add', '--fo'), '--for')
    assert.equal(await complete('check', '--config', `${lab.directory}/ba`), `${lab.directory}/bash`)
    assert.equal(await complete('add', client4, '--for', ''), '')
    assert.equal(await complete('knock', 'h'), 'home hut')
    assert.equal(await complete('delete', '10'), client4)
    assert.equal(await complete('add', '10'), client4)
    assert.equal(await complete('log', '--source', ''), client4)
    assert.equal(await complete('import', 'nf'), 'nf-pkd nfqknockd')
    assert.equal(await complete('user', ''), 'add list show revoke export')
    // In place of pkctl, a program that prints what it is asked for.
    lab.file('asked/pkctl', '#!/bin/sh\necho "$3"\n', 0o755)
    const asked = (...words: string[]) => completeBy(`${lab.directory}/asked:${options.path}`, ...words)
    for (const command of ['show', 'revoke', 'export']) assert.equal(await asked('user', command, ''), 'users')
    assert.equal(await asked('sequence', ''), 'credentials')
    assert.equal(await asked('log', '--credential', ''), 'credentials')
    assert.equal(await asked('connect', ''), 'hosts')
    assert.equal(await asked('import', ''), 'systems')
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

  it('completes pktables and pkctld, whose options stand without a command', async () => {
    const completeFor = async (program: string, ...words: string[]) => {
      const file = lab.file(program, await must([process.execPath, pkctl, 'completion', 'bash', '--program', program]))
      const script = `source ${file}; compopt() { :; }; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _${program}; echo "\${COMPREPLY[*]}"`
      return (
        await lab.on(['bash', '-c', script, 'bash', program, ...words], { env: { PATH: options.path } })
      ).stdout.trim()
    }
    assert.equal(await completeFor('pktables', 're'), 'remove')
    assert.equal(await completeFor('pktables', 'remove', 'w'), 'web')
    assert.equal(await completeFor('pkctld', '--con'), '--config')
    assert.equal(await completeFor('pkctld', '--config', `${lab.directory}/ba`), `${lab.directory}/bash`)
    assert.equal(await completeFor('pkctld', ''), '')
    for (const shell of ['zsh', 'fish']) {
      const script = await must([process.execPath, pkctl, 'completion', shell, '--program', 'pkctld'])
      await lab.on([shell, ...(shell === 'zsh' ? ['-n'] : ['--no-execute']), lab.file(`pkctld.${shell}`, script)])
    }
  })

  it('prints the names that it knows, and none for what cannot be read', async () => {
    const names = async (...argv: string[]) => {
      const env = { XDG_CONFIG_HOME: `${lab.directory}/config` }
      const { status, stdout, stderr } = await lab.on([process.execPath, pkctl, 'completion', '--names', ...argv], {
        env,
      })
      assert.deepEqual([status, stderr], [0, ''])
      return stdout.split('\n').filter(Boolean)
    }
    const config = lab.config('credentials: { laptop: { type: pkd, key: k }, phone: { type: pkd, key: l } }')
    assert.deepEqual(await names('services'), ['ssh', 'web'])
    assert.deepEqual(await names('credentials', '--config', config), ['laptop', 'phone'])
    assert.deepEqual(await names('hosts'), ['home', 'hut'])
    assert.deepEqual(await names('users', '--config', '/nonexistent.yaml'), [])
    assert.ok((await names('systems')).includes('knockd'))
  })

  it('is not there for other shells', async () => {
    const { status, stderr } = await run([process.execPath, pkctl, 'completion', 'csh'])
    assert.equal(status, 2)
    assert.match(stderr, /^pkctl: error: .*'csh'.*bash, zsh, fish/)
  })
})
