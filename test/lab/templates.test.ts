/** The templates that bring pkctl onto many machines, judged by Ansible, Vagrant and cloud-init themselves. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { parse } from 'yaml'
import type { Result } from '../support/commands.js'
import { must, pkctl, root, run } from '../support/commands.js'

const templates = path.join(root, 'templates')
const role = path.join(templates, 'ansible/roles/pkctl')
const textOf = (file: string) => fs.readFileSync(file, 'utf8')
const directory = fs.mkdtempSync('/tmp/pkctl-provisioning-')
const file = (name: string, content: string) => {
  fs.writeFileSync(path.join(directory, name), content, { mode: 0o600 })
  return path.join(directory, name)
}
fs.mkdirSync(path.join(directory, 'keys'), { mode: 0o700 })
after(() => fs.rmSync(directory, { recursive: true }))

const missing = (program: string) => (fs.existsSync(`/usr/bin/${program}`) ? false : `there is no ${program}`)
const env = { ANSIBLE_HOME: directory, ANSIBLE_LOCAL_TEMP: directory, ANSIBLE_NOCOLOR: '1', LC_ALL: 'C.UTF-8' }
const python = 'ansible_python_interpreter=/usr/bin/python3'

describe('the Ansible role', { skip: missing('ansible-playbook') }, () => {
  const vagrants = 'servers: { hosts: { server: } }\nclients: { hosts: { client: } }\n'
  for (const [playbook, inventory] of [
    ['site.yml', path.join(templates, 'ansible/inventory.example.yml')],
    ['vagrant.yml', file('vagrant.yml', vagrants)],
  ] as const) {
    it(`${playbook} is understood, with all that it includes`, async () => {
      const argv = ['ansible-playbook', '--syntax-check', '-i', inventory, path.join(templates, 'ansible', playbook)]
      const { status, stdout, stderr } = await run(argv, { env })
      assert.equal(status, 0, stdout + stderr)
      assert.ok(!/warning|error/i.test(stderr), stderr)
    })
  }

  const template = (variables: string, target: string) =>
    must(
      [
        ...['ansible', 'localhost', '-i', 'localhost,', '-c', 'local', '-e', python],
        ...['-e', `@${role}/defaults/main.yml`, '-e', `@${variables}`],
        ...['-m', 'template', '-a', `src=${role}/templates/pkctl.yaml.j2 dest=${target}`],
      ],
      { env },
    )

  it('writes a configuration that says just what the variables say', async () => {
    const services = { ssh: { port: 22, allow: ['192.0.2.0/24'] }, "it's": { port: [80, '8000-8010'], syn: true } }
    const credentials = {
      laptop: { type: 'pkd', tag: '1e30', key: `0o17 "'{{ ü #`, opens: ['ssh'] },
      phone: { type: 'sequence', sequence: [7000, '9000:udp', 8000], opens: ['ssh'], rate: '5/10s' },
    }
    const settings = { log: { level: 'debug' }, 'open-ports': [1234] }
    const variables = { pkctl_services: services, pkctl_credentials: credentials, pkctl_settings: settings }
    // Ansible would take the braces for a template.
    const given = JSON.stringify(variables).replace(/"(0o17 [^\n]*? #)"/, '!unsafe "$1"')
    await template(file('variables.yml', given), path.join(directory, 'odd.yaml'))
    assert.deepEqual(parse(textOf(path.join(directory, 'odd.yaml'))), { services, credentials, ...settings })
  })

  it('writes a fleet with the files of its secrets', async () => {
    const fleet = { url: 'rediss://engine.example.net', group: 'edge', user: 'pkctl', share: ['ssh'], accept: ['ssh'] }
    const fleetOf = async (secrets: object) => {
      const target = path.join(directory, 'fleet.yaml')
      const services = { ssh: { port: 22 } }
      const given = { pkctl_services: services, pkctl_fleet: fleet, ...secrets }
      await template(file('fleet.json', JSON.stringify(given)), target)
      return parse(textOf(target)) as { fleet: object }
    }
    const files = { 'key-file': 'keys/fleet', 'password-file': 'keys/fleet-engine' }
    const secrets = { pkctl_fleet_key: `0x${'7f'.repeat(32)}`, pkctl_fleet_password: 'T0PSECRET' }
    const written = await fleetOf(secrets)
    assert.deepEqual(written, { services: { ssh: { port: 22 } }, credentials: {}, fleet: { ...fleet, ...files } })
    assert.deepEqual((await fleetOf({})).fleet, fleet)
    for (const [name, secret] of [
      ['fleet', secrets.pkctl_fleet_key],
      ['fleet-engine', 'T0PSECRET'],
    ] as const)
      file(`keys/${name}`, `${secret}\n`)
    const target = file('pkctl.yaml', JSON.stringify(written))
    assert.match(await must([process.execPath, pkctl, 'check', '--config', target]), /1 service/)
  })

  it('writes a configuration that is right from the example, and from nothing', async () => {
    file('keys/laptop', 'a key for a test')
    const example = parse(textOf(path.join(templates, 'ansible/inventory.example.yml'))) as {
      pkctl: { vars: Record<string, unknown> }
    }
    const nothing = { pkctl_services: {}, pkctl_credentials: {}, pkctl_settings: {} }
    for (const [variables, sum] of [
      [{ ...example.pkctl.vars, pkctl_keys: {} }, '2 services, 1 credential'],
      [nothing, '0 services, 0 credentials'],
    ] as const) {
      const target = path.join(directory, 'pkctl.yaml')
      await template(file('variables.json', JSON.stringify(variables)), target)
      fs.chmodSync(target, 0o600)
      assert.match(await must([process.execPath, pkctl, 'check', '--config', target]), new RegExp(sum))
    }
  })

  for (const [what, variables] of [
    ['a key outside of its folder', { pkctl_keys: { '../shadow': 'x' } }],
    ['a fleet in two places', { pkctl_settings: { fleet: {} }, pkctl_fleet: { url: 'redis://192.0.2.1' } }],
    ['services among the settings', { pkctl_settings: { services: {} } }],
    ['a package without encryption on its way', { pkctl_package: 'http://packages.example/pkctl.deb' }],
    ['a package of another kind', { pkctl_package: 'pkctl.rpm' }],
  ] as const) {
    it(`refuses ${what} before it does anything`, async () => {
      const { status, stdout } = await locally(file('variables.json', JSON.stringify(variables)))
      assert.equal(status, 2, stdout)
      assert.match(stdout, /pkctl_keys are file names/)
      assert.match(stdout, /ok=1 +changed=0 .*failed=1/)
    })
  }

  /** The role on this very machine; only for what ends before it does anything. */
  function locally(variables: string): Promise<Result> {
    const inventory = file('here.yml', 'pkctl: { hosts: { localhost: { ansible_connection: local } } }\n')
    const argv = ['ansible-playbook', '--check', '-i', inventory, '-e', python, '-e', `@${variables}`, site]
    return run(argv, { env })
  }

  const site = path.join(templates, 'ansible/site.yml')
  const play = (name: string, servers: readonly object[], ...more: string[]) => playOf(site, name, servers, ...more)
  const playOf = async (playbook: string, name: string, servers: readonly object[], ...more: string[]) => {
    const hosts = servers.map((variables, i) => [`server${i}`, { ansible_connection: 'local', ...variables }])
    const inventory = file(name, JSON.stringify({ pkctl: { hosts: Object.fromEntries(hosts) as object } }))
    const argv = ['ansible-playbook', '--check', '-i', inventory, '-e', python, ...more]
    return (await run([...argv, playbook], { env })).stdout
  }
  const inFile = (key: string) => ({ pkctl_keys: { laptop: key } })
  const inConfiguration = (key: string, option = 'key') => ({
    pkctl_credentials: { laptop: { type: 'pkd', [option]: key, opens: ['ssh'] } },
  })

  const asComment = { ...inConfiguration('keys/laptop', 'key-file'), ...inFile('# secret a') }

  for (const [what, own, others] of [
    ['in files', inFile('secret a'), [inFile('secret b'), inFile('secret a')]],
    ['in a file with more lines', inFile('secret a'), [inFile('secret b'), inFile('secret a\nof the laptop\n')]],
    ['in the configuration', inConfiguration('secret a'), [inConfiguration('secret b'), inConfiguration('secret a')]],
    ['in a file and in the configuration', inFile('secret a'), [inFile('secret b'), inConfiguration('secret a')]],
    [
      'as a secret of another kind',
      inConfiguration('secret a', 'open-secret'),
      [inConfiguration('secret b', 'open-secret'), inConfiguration('secret a', 'open-secret')],
    ],
    ['in other letters', inConfiguration('0xabcdef01'), [inConfiguration('secret b'), inConfiguration('0XABCDEF01')]],
    ['in a file that looks like a comment', asComment, [inFile('secret b'), asComment]],
  ] as const) {
    it(`refuses a key that several servers have, ${what}, and does not show it`, async () => {
      const shared = await play('shared.json', [own, ...others])
      assert.match(shared, /server0.*FAILED.*also that of server2; a captured knock/s)
      assert.equal(shared.match(/also that of/g)?.length, 2, shared)
      assert.doesNotMatch(shared, /secret [ab]|abcdef/i)
    })
  }

  const playbookOf = (name: string, content: object) =>
    file(name, JSON.stringify([{ hosts: 'pkctl', gather_facts: false, ...content }]))

  for (const [what, content] of [
    ['the variables of the play', { vars: inFile('secret a'), roles: [role] }],
    ['a file of the play', { vars_files: [file('given.json', JSON.stringify(inFile('secret a')))], roles: [role] }],
    ['the variables of the role', { roles: [{ role, vars: inConfiguration('secret a') }] }],
  ] as const) {
    it(`refuses a key that several servers have by ${what}, and does not show it`, async () => {
      const shared = await playOf(playbookOf('shared.yml', content), 'shared.json', [{}, {}], '-vvv')
      assert.match(shared, /server0.*FAILED.*also that of server1; a captured knock/s)
      assert.match(shared, /server1.*FAILED.*also that of server0;/s)
      assert.doesNotMatch(shared, /secret a/)
    })
  }

  it('takes a key of the play that each server has for itself', async () => {
    const roles = [{ role, vars: inFile('{{ own_key }}') }]
    const own = await playOf(playbookOf('own.yml', { roles }), 'own.json', [{ own_key: 'a' }, { own_key: 'b' }])
    assert.doesNotMatch(own, /also that of/)
    assert.match(own, /Check the machine/)
  })

  it('refuses a key of the inventory before the other server has its turn', async () => {
    const [one, other] = [inFile('secret a'), inConfiguration('secret b')]
    const playbook = playbookOf('serial.yml', { serial: 1, roles: [role] })
    assert.match(await playOf(playbook, 'serial.json', [one, other, one]), /server0.*FAILED.*also that of server2;/s)
  })

  it('takes files of public keys, of revoked keys and of comments that several servers have', async () => {
    const line = `ssh-ed25519 ${Buffer.from('\0\0\0\x0bssh-ed25519').toString('base64')} alice`
    for (const shared of [line, `cert-authority,opens="ssh" ${line}`, `# of the office\n${line}`, 'SSHKRL\n', '\n']) {
      const servers = ['secret a', 'secret b'].map(key => ({ pkctl_keys: { laptop: key, users: shared } }))
      const allowed = await play('public.json', servers)
      assert.doesNotMatch(allowed, /also that of/)
      assert.match(allowed, /Check the machine/)
    }
  })

  it('takes a key of its own for each server, equal ones if that is allowed, and those of machines that only knock', async () => {
    const one = inConfiguration('secret a')
    for (const allowed of [
      await play('own.json', [inFile('secret a'), inConfiguration('secret b'), inConfiguration('secret c')]),
      await play('allowed.json', [inFile('secret a'), one], '-e', 'pkctl_shared_keys=true'),
      await play('client.json', [one, { ...one, pkctl_daemon: false }]),
    ]) {
      assert.doesNotMatch(allowed, /also that of/)
      assert.match(allowed, /Check the machine/)
      assert.doesNotMatch(allowed, /secret [abc]/)
    }
  })

  it('installs with npm as the document says, and only once; shows no secret; a mistake replaces nothing', async () => {
    const packed = await must(['npm', 'pack', '--silent', '--pack-destination', directory], { cwd: root })
    const archive = path.join(directory, packed.trim())
    const parts = ['npm', 'configure'].map(name => {
      const tasks = [{ 'ansible.builtin.include_role': { name: role, tasks_from: `${name}.yml` } }]
      return file(`${name}.yml`, JSON.stringify([{ hosts: 'localhost', gather_facts: false, tasks }]))
    })
    const inline = { type: 'pkd', key: 'in plain sight', opens: ['ssh'] }
    const hmac = { type: 'fwknop', 'key-file': 'keys/laptop', 'hmac-key': 'in plain sight', opens: ['ssh'] }
    const notify = { chat: { webhook: 'https://chat.example/in-plain-sight' } }
    const given = { pkctl_confirm: '', pkctl_found: { stdout_lines: [] }, pkctl_keys: { laptop: 'a key for a test' } }
    const services = { ssh: { port: 22 } }
    for (const [i, variables] of [
      { ...given, pkctl_services: services },
      { ...given, pkctl_services: services, pkctl_credentials: { inline } },
      { ...given, pkctl_services: services, pkctl_credentials: { hmac } },
      { ...given, pkctl_services: services, pkctl_settings: { notify } },
      { ...given, pkctl_services: { ssh: { prot: 22 } } },
    ].entries())
      file(`case${i}.json`, JSON.stringify(variables))
    const play = `ansible-playbook -i localhost, -c local -e ${python}`
    // /etc, /usr and /var are copies that are gone afterwards, and systemd is not to be seen.
    const script = `
      mount -t tmpfs tmpfs /mnt
      for name in etc usr var; do
        mkdir -p /mnt/upper/$name /mnt/work/$name
        mount -t overlay overlay -o lowerdir=/$name,upperdir=/mnt/upper/$name,workdir=/mnt/work/$name /$name
      done
      mount -t tmpfs tmpfs /run
      for time in 1 2; do ${play} -e pkctl_package=${archive} -e pkctl_apt_update=false ${parts[0]}; done
      /usr/local/bin/pkctl --version
      ls /etc/systemd/system/pkctld.service /etc/systemd/system/pkctl-rules.service
      grep ^ExecStart= /etc/systemd/system/pkctld.service
      stat -c '%a %U %G' /etc/pkctl/keys
      cd /etc/pkctl
      echo 'services: {}' >pkctl.yaml
      for i in 0 1 2 3 4; do
        echo "== case $i"
        [ $i = 4 ] && check='' || check='--check --diff'
        PATH=/usr/local/bin:$PATH unshare --net ${play} $check -e @${directory}/case$i.json ${parts[1]} || echo failed
      done
      cat pkctl.yaml`
    const { status, stdout, stderr } = await run(['unshare', '--mount', '--propagation=private', 'sh', '-ec', script], {
      env: { ...env, npm_config_prefer_offline: 'true' },
    })
    assert.equal(status, 0, stdout + stderr)
    const [installed = '', open = '', ...changes] = stdout.split(/== case \d\n/)
    const mistaken = changes.pop() ?? ''
    const counts = [...installed.matchAll(/changed=(\d+)/g)].map(([, changed]) => changed)
    assert.deepEqual(counts, ['2', '0'], installed)
    assert.match(installed, /^ExecStart=\/usr\/local\/bin\/pkctld$/m)
    assert.match(installed, /^2750 root pkctl$/m)
    assert.match(open, /^\+ {2}"ssh": \{"port": 22\}$/m)
    assert.match(open, /changed=2 .*failed=0/)
    assert.equal(changes.length, 3)
    for (const secret of changes) {
      assert.match(secret, /changed=2 .*failed=0/)
      assert.ok(!/plain.sight/.test(secret) && !secret.includes('"ssh"'), secret)
    }
    assert.ok(!stdout.includes('a key for a test'), stdout)
    assert.match(mistaken, /prot/)
    assert.match(mistaken, /failed=1[^]*\nfailed\nservices: \{\}\n$/)
  })
})

describe('the Vagrantfile', { skip: missing('vagrant') }, () => {
  const validate = (content: string) => {
    const cwd = fs.mkdtempSync(path.join(directory, 'vagrant-'))
    fs.writeFileSync(path.join(cwd, 'Vagrantfile'), content)
    return run(['vagrant', 'validate'], { cwd, env: { VAGRANT_HOME: path.join(directory, 'vagrant') } })
  }
  const content = textOf(path.join(root, 'Vagrantfile'))

  it('is valid', async () => {
    const { status, stdout, stderr } = await validate(content)
    assert.equal(status, 0, stdout + stderr)
  })

  it('names a playbook that is there, and would not be valid with a wrong option', async () => {
    const playbook = /ansible\.playbook = '(.*)'/.exec(content)?.[1] ?? ''
    assert.ok(fs.existsSync(path.join(root, playbook)), playbook)
    assert.notEqual((await validate(content.replace('libvirt.memory', 'libvirt.memroy'))).status, 0)
  })
})

describe('the example for cloud-init', () => {
  // The package itself would take over the machine at its next boot, and so is only unpacked.
  const unpacked = path.join(directory, 'cloud-init')
  before(async () => {
    fs.mkdirSync(unpacked)
    const fetch = 'apt-get -qq download cloud-init 2>/dev/null && dpkg-deb -x cloud-init_*.deb .'
    await must(['sh', '-c', fetch], { cwd: unpacked })
  })

  it('follows the schema of cloud-init', async () => {
    const library = { PYTHONPATH: path.join(unpacked, 'usr/lib/python3/dist-packages') }
    const check = (name: string) =>
      run(['/usr/bin/python3', '-m', 'cloudinit.cmd.main', 'schema', '-c', name], { env: library })
    const { status, stdout, stderr } = await check(path.join(templates, 'examples/cloud-init.yaml'))
    assert.equal(status, 0, stdout + stderr)
    assert.notEqual((await check(file('wrong.yaml', '#cloud-config\nruncmd: yes\n'))).status, 0)
  })
})
