/** pkctl import, from the files of others to a daemon that their clients knock at. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import * as os from 'node:os'
import path from 'node:path'
import { after, afterEach, beforeEach, describe, it } from 'node:test'
import { findHostEntry } from '../../src/client/hosts-file.js'
import type { Result } from '../support/commands.js'
import { dist, must, pkctl, root, run, until } from '../support/commands.js'
import { fwknopClient } from '../support/fwknop.js'
import { client4, Lab, server4, stranger4 } from '../support/lab.js'

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'pkctl-import-'))
after(() => fs.rmSync(directory, { recursive: true, force: true }))

const call = (args: readonly string[], input = ''): Promise<Result> =>
  run([process.execPath, pkctl, 'import', ...args], { cwd: directory, input })

function write(name: string, content: string | Buffer): string {
  const file = path.join(directory, name)
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, content, { mode: 0o600 })
  return file
}

async function check(yaml: string): Promise<void> {
  await must([process.execPath, pkctl, 'check', '--config', write('checked/pkctl.yaml', yaml)])
}

const conf = `
[openSSH]
  sequence = 7000,9000:udp,8000
  tcpflags = syn
  start_command = /sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
  cmd_timeout = 600
  stop_command = /sbin/iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
[closeSSH]
  sequence = 8000,9000:udp,7000
  command = /sbin/iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
[note]
  sequence = 5000,4000
  command = echo "%IP% $((1 + 1))" > NOTE
`

describe('an imported configuration', () => {
  let lab: Lab

  beforeEach(async () => {
    lab = await Lab.create()
    await lab.serve(22)
  })
  afterEach(() => lab.remove())

  it('of knockd is opened, closed and run by the client of knockd', async () => {
    const note = path.join(lab.directory, 'note')
    const file = lab.file('knockd.conf', conf.replace('NOTE', note))
    // Called by its name, pkctl is called by that name in triggers.
    const named = path.join(lab.directory, 'bin/pkctl')
    fs.mkdirSync(path.dirname(named))
    fs.symlinkSync(pkctl, named)
    const yaml = await must([process.execPath, named, 'import', 'knockd', file])
    fs.rmSync(named)
    lab.file('bin/pkctl', `#!/bin/sh\nexec ${process.execPath} ${dist}/src/cli/pkctl.js "$@"\n`, 0o755)
    await check(yaml)

    const daemon = await lab.daemon(lab.config(yaml))
    const knock = (...ports: string[]) => lab.from(['knock', '-4', server4, ...ports])
    assert.equal(await lab.opens(server4, client4), 'timeout')
    await knock('7000', '9000:udp', '8000')
    await daemon.says(/knock by openSSH from 10\.77\.0\.2 opens ssh for 600 s/)
    assert.equal(await lab.opens(server4, client4), 'open')
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
    await knock('5000', '4000')
    await until(() => fs.existsSync(note) && fs.readFileSync(note, 'utf8') !== '')
    assert.equal(fs.readFileSync(note, 'utf8'), `${client4} 2\n`)
    await knock('8000', '9000:udp', '7000')
    await until(async () => (await lab.opens(server4, client4)) === 'timeout')
  })

  it('of nf-pkd is opened by its knocks, the keys in files of their own', async () => {
    const actions = path.join(lab.directory, 'actions.d')
    lab.file(
      'actions.d/deep/ssh.json',
      "[ { 'name': 'lap top', 'key': 'it is # secret', tag: SSHK, 'window': 30, port: 22 } ]",
    )
    lab.file('actions.d/README', 'no JSON')
    const keys = path.join(lab.directory, 'keys')
    fs.mkdirSync(keys, { mode: 0o700 })
    const output = path.join(lab.directory, 'imported.yaml')
    const { status, stdout, stderr } = await call(['nf-pkd', actions, '--keys', keys, '--output', output])
    assert.equal(status, 0, stderr)
    assert.equal(stdout, `${output} is written\n`)
    assert.match(stderr, /^pkctl: warning: .*ssh\.json is not JSON, and was read all the same/)
    const yaml = fs.readFileSync(output, 'utf8')
    assert.doesNotMatch(yaml, /secret/)
    for (const file of [output, `${keys}/lap-top`]) assert.equal(fs.statSync(file).mode & 0o777, 0o600)
    await check(yaml)

    const daemon = await lab.daemon(lab.config(yaml))
    assert.equal(await lab.opens(server4, client4), 'timeout')
    const options = { env: { KEY: 'it is # secret' } }
    const knock = [process.execPath, pkctl, 'knock', server4, '--tag', 'SSHK', '--key-env', 'KEY', '--connect', '22']
    assert.match((await lab.from(knock, options)).stdout, /port 22\/tcp is open/)
    await daemon.says(/knock by lap-top from 10\.77\.0\.2 opens ssh for 30 s, udp-22 for 30 s/)
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
  })

  it('of fwknop is opened by its client, over the port of fwknopd.conf, and by no stanza without an HMAC', async () => {
    const [key, hmacKey] = ['DwpZv8Hn26OzcK75UPY30TBpni8RhoTYr5n1uWbjLck=', 'an HMAC key of text']
    const file = lab.file(
      'fwknop/access.conf',
      `SOURCE ANY\nKEY_BASE64 ${key}\nHMAC_KEY ${hmacKey};\nHMAC_DIGEST_TYPE SHA512\nOPEN_PORTS tcp/22\n` +
        'FW_ACCESS_TIMEOUT 45\nREQUIRE_USERNAME alice\nSOURCE ANY\nKEY pkctl-enc-key-1\nOPEN_PORTS tcp/22\n',
    )
    lab.file('fwknop/fwknopd.conf', 'PCAP_FILTER udp port 7777;\n')
    const keys = path.join(lab.directory, 'keys')
    fs.mkdirSync(keys, { mode: 0o700 })
    const { status, stdout, stderr } = await call(['fwknop', file, '--keys', keys])
    assert.equal(status, 0, stderr)
    assert.match(stderr, /warning: left out: the stanza at line 8: it has no HMAC_KEY/)
    assert.deepEqual(fs.readdirSync(keys).sort(), ['alice', 'alice-hmac'])
    await check(stdout)

    const daemon = await lab.daemon(lab.config(stdout))
    assert.equal(await lab.opens(server4, client4), 'timeout')
    const knock = async (user: string, withKeys: readonly string[], ...more: string[]) => {
      const args = ['-A', 'tcp/22', '-s', '-p', '7777', '-U', user, ...more]
      const { status, stderr } = await lab.from(fwknopClient(lab.directory, server4, args, [...withKeys]))
      assert.equal(status, 0, stderr)
    }
    const own = ['--key-base64-rijndael', key, '--use-hmac', '--key-hmac', hmacKey, '--hmac-digest-type', 'sha512']
    await knock('bob', own)
    await daemon.says(/knock by alice from 10\.77\.0\.2 refused: .*names another user/)
    await knock('alice', ['--key-rijndael', 'pkctl-enc-key-1'])
    assert.equal(await lab.opens(server4, client4), 'timeout')
    await knock('alice', own)
    await daemon.says(/knock by alice from 10\.77\.0\.2 opens ssh for 45 s/)
    assert.equal(await lab.opens(server4, client4), 'open')
    assert.equal(await lab.opens(server4, stranger4), 'timeout')
  })

  it('of ipt_pkd refuses as its rules did, and is opened by its knocks once they are gone', async () => {
    const rules = [
      '*filter',
      '-A INPUT -p udp -m pkd --key test --tag SSHK --window 10 -m recent --set --name door --rsource',
      '-A INPUT -p tcp -m tcp --dport 22 -m state --state NEW -m recent --rcheck --seconds 60 --hitcount 1 --name door --rsource -j ACCEPT',
      '-A INPUT -p tcp -m tcp --dport 22 -m state --state NEW -j REJECT --reject-with tcp-reset',
      'COMMIT',
    ]
    const { status, stdout, stderr } = await call(['ipt_pkd', '-'], rules.join('\n'))
    assert.equal(status, 0, stderr)
    await check(stdout)
    const daemon = await lab.daemon(lab.config(stdout))
    assert.equal(await lab.opens(server4, client4), 'reset')
    const options = { env: { KEY: 'test' } }
    await lab.from([process.execPath, pkctl, 'knock', server4, '--tag', 'SSHK', '--key-env', 'KEY'], options)
    await daemon.says(/knock by SSHK from 10\.77\.0\.2 opens ssh for 60 s/)
    assert.equal(await lab.opens(server4, client4), 'open')
    assert.equal(await lab.opens(server4, stranger4), 'reset')
  })

  it('of knockd with a section for all ports opens the port of another section, and runs its commands', async () => {
    const all = '/usr/sbin/iptables-nft -I INPUT -s %IP% -j ACCEPT'
    const text =
      '[ssh]\nsequence=7100,9100,8100\nstart_command=/sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n' +
      `[everything]\nsequence=7200,9200,8200\nstart_command=${all}\ncmd_timeout=2\nstop_command=${all.replace('-I', '-D')}\n`
    const { status, stdout, stderr } = await call(['knockd', '-'], text)
    assert.equal(status, 0, stderr)
    await check(stdout)
    await lab.daemon(lab.config(stdout))
    const rule = async () =>
      (await lab.on(['iptables-nft', '-S', 'INPUT'])).stdout.includes(`-s ${client4}/32 -j ACCEPT`)
    assert.equal(await lab.opens(server4, client4), 'timeout')
    await lab.from(['knock', '-4', server4, '7200', '9200', '8200'])
    await until(rule)
    await lab.from(['knock', '-4', server4, '7200', '9200', '8200'])
    assert.equal(await lab.opens(server4, client4), 'open')
    await until(async () => !(await rule()))
  })
})

describe('pkctl import', () => {
  it('writes nothing unless told, and nothing over what is there unless forced', async () => {
    const source = write('k/knockd.conf', conf)
    const before = fs.readdirSync(directory, { recursive: true }).sort()
    assert.equal((await call(['knockd', source])).status, 0)
    assert.deepEqual(fs.readdirSync(directory, { recursive: true }).sort(), before)

    const output = write('there.yaml', 'mine')
    fs.chmodSync(output, 0o644)
    const refused = await call(['knockd', source, '--output', output])
    assert.deepEqual([refused.status, refused.stdout], [1, ''])
    assert.match(refused.stderr, /^pkctl: error: \S+there\.yaml is there already\npkctl: hint: .*--force/m)
    assert.equal(fs.readFileSync(output, 'utf8'), 'mine')
    assert.equal((await call(['knockd', source, '--output', output, '--force'])).status, 0)
    assert.match(fs.readFileSync(output, 'utf8'), /openSSH/)
    assert.equal(fs.statSync(output).mode & 0o777, 0o600)
    assert.equal((await call(['knockd', source, '--output', `${directory}/no/where.yaml`])).status, 1)
    assert.deepEqual(
      fs.readdirSync(directory).filter(name => name.includes('.new')),
      [],
    )
  })

  it('overwrites files alone, and no pipe, device or directory, before which nothing is written', async () => {
    write('forced/actions/a.json', '[{"name":"a","key":"ka","port":1}]')
    const keys = path.join(directory, 'forced/keys')
    write('forced/keys/other', '')
    const pipe = path.join(directory, 'forced/pipe')
    await must(['mkfifo', pipe])
    for (const output of [pipe, keys]) {
      const { status, stderr } = await call(['nf-pkd', 'forced/actions', '--keys', keys, '--output', output, '--force'])
      assert.equal(status, 1)
      assert.equal(stderr, `pkctl: error: ${output} cannot be written: it is no regular file\n`)
    }
    assert.ok(fs.statSync(pipe).isFIFO())
    assert.deepEqual(fs.readdirSync(keys), ['other'])
  })

  it('writes all files or none', async () => {
    write('some/actions/a.json', '[{"name":"a","key":"ka","port":1},{"name":"b","key":"kb","port":2}]')
    const keys = path.join(directory, 'some/keys')
    write('some/keys/b', 'mine')
    const { status, stderr } = await call(['nf-pkd', 'some/actions', '--keys', keys])
    assert.equal(status, 1)
    assert.match(stderr, /^pkctl: error: \S+keys\/b is there already$/m)
    assert.deepEqual(fs.readdirSync(keys), ['b'])
  })

  it('reads stdin where the file is -', async () => {
    assert.match((await call(['knockd', '-'], conf)).stdout, /^# From knockd, stdin\.[^]*opens: \[ssh\]/)
  })

  it('does not wait for a file of sequences that is a pipe, or has no end', async () => {
    const pipe = path.join(directory, 'pipe')
    await must(['mkfifo', pipe])
    for (const file of [pipe, '/dev/zero']) {
      const { status, stderr } = await call(['knockd', '-'], `[a]\none_time_sequences=${file}\ncommand=/bin/true\n`)
      assert.equal(status, 1)
      assert.match(stderr, /^pkctl: warning: .*its file of sequences, \S+, cannot be used: \S+ is not a regular file/)
      assert.match(stderr, /^pkctl: error: nothing in stdin could be imported$/m)
    }
  })

  const failures: readonly [string, () => string[], 1 | 2, RegExp][] = [
    ['a missing file', () => ['knockd', 'nowhere'], 1, /nowhere cannot be read: there is no such file/],
    ['a directory', () => ['knockd', '.'], 1, /cannot be read: it is a directory/],
    ['a file without end', () => ['ipt_pkd', '/dev/zero'], 1, /larger than 1 MiB/],
    ['a huge file', () => ['ipt_pkd.ini', write('huge', 'x'.repeat(1024 * 1024 + 1))], 1, /larger than 1 MiB/],
    [
      'a program',
      () => ['knockd-helper', write('binary', Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0xff]))],
      1,
      /not UTF-8/,
    ],
    ['zero bytes', () => ['knockd', write('zeros', 'a\0b')], 1, /is not text/],
    ['a missing directory', () => ['nf-pkd', 'nowhere'], 1, /nowhere cannot be read: there is no such file/],
    [
      'action files without a rule',
      () => ['nf-pkd', path.dirname(write('ruleless/a.json', '[]'))],
      1,
      /nothing in \S+ruleless could/,
    ],
    ['no action files', () => ['nf-pkd', path.dirname(write('empty/x', ''))], 1, /no file in \S+ ends with \.json/],
    [
      'action files that lead to each other',
      () => {
        fs.mkdirSync(path.join(directory, 'loop'))
        fs.symlinkSync('a.json', path.join(directory, 'loop/a.json'))
        return ['nf-pkd', 'loop']
      },
      1,
      /^pkctl: error: loop\/a\.json cannot be read: .*symbolic links/,
    ],
    [
      'directories without end',
      () => (write(`d/${'d/'.repeat(21)}a.json`, '[]'), ['nf-pkd', 'd']),
      1,
      /more than 20 deep/,
    ],
    [
      'an action file that means nothing',
      () => ['nf-pkd', path.dirname(write('broken/a.json', '[\n{"name": }]'))],
      1,
      /broken\/a\.json:2: expected text between double quotes/,
    ],
    ['places that are none', () => ['ipt_pkd.ini', write('bad.ini', '[a]\nkey')], 1, /bad\.ini:2: expected/],
    ['a name that would steer a terminal', () => ['knockd', 'a\x1b[31m\nb'], 1, /a\\u001b\[31m\\u000ab cannot be read/],
    [
      'no directory for keys',
      () => ['nfqknockd', '--keys', 'none', '--', '-o', 'x', '-p', '1'],
      1,
      /there is no directory \S+none/,
    ],
    ['no source', () => ['knockd'], 2, /expected: pkctl import knockd FILE/],
    ['two sources', () => ['ipt_pkd', 'a', 'b'], 2, /expected: pkctl import ipt_pkd FILE/],
    ['another system', () => ['knokd', 'x'], 2, /'knokd' is no system/],
    ['a name of JavaScript', () => ['constructor', 'x'], 2, /'constructor' is no system/],
    ['nothing', () => [], 2, /missing required argument/],
    ['nfqknockd without a secret', () => ['nfqknockd', '--', '-p', '22'], 2, /no '-o SECRET'/],
  ]
  for (const [name, args, exit, message] of failures) {
    it(`one error for ${name}`, async () => {
      const { status, stdout, stderr } = await call(args())
      assert.equal(status, exit, stderr)
      assert.equal(stdout, '')
      assert.match(stderr, message)
      assert.equal(stderr.match(/^pkctl: error: /gm)?.length, 1)
      assert.equal(stderr.replace(/^pkctl: (error|hint): .*\n/gm, ''), '')
    })
  }
})

describe('pkctl import of a file without anything to import', () => {
  const empty: readonly [string, string, readonly string[], RegExp][] = [
    ['text of another kind', 'description "no knockd.conf"', ['knockd', '-'], /warning: left out: line 1: neither/],
    ['an empty file', '', ['knockd', '-'], /hint: expected sections such as \[openSSH\]/],
    ['comments alone', '# all\n\n', ['knockd', '-'], /hint: expected sections/],
    ['options alone', '[options]\nUseSyslog\n', ['knockd', '-'], /hint: expected sections/],
    [
      'no section that can be one',
      '[a]\nsequence=1\n',
      ['knockd', '-'],
      /warning: left out: section 'a': it has no command/,
    ],
    ['no knock rule', '*filter\n-A INPUT -j DROP\n', ['ipt_pkd', '-'], /warning: no rule uses ipt_pkd/],
    ['no SOURCE', 'KEY secret\n', ['fwknop', '-'], /hint: expected stanzas, each with SOURCE/],
    ['the stanza of the package', 'SOURCE ANY\nKEY_BASE64 __CHANGEME__\n', ['fwknop', '-'], /which is no key/],
    ['no pktables', '#!/bin/sh\necho hello\n', ['knockd-helper', '-'], /hint: expected lines with pktables init/],
    ['no host', '', ['ipt_pkd.ini', '-'], /hint: expected sections such as \[home\]/],
    ['no port', '', ['nfqknockd', '--', '-o', 'x'], /warning: left out: the sequences/],
  ]
  for (const [name, input, args, said] of empty) {
    it(`one error and exit status 1 for ${name}, and no file`, async () => {
      const output = path.join(directory, 'empty.yaml')
      const { status, stdout, stderr } = await call(['--output', output, ...args], input)
      assert.deepEqual([status, stdout], [1, ''], stderr)
      assert.match(stderr, /^pkctl: error: nothing in .* could be imported$/m)
      assert.match(stderr, said)
      assert.ok(!fs.existsSync(output))
    })
  }
})

describe('docs/migrating.md', () => {
  const text = fs.readFileSync(path.join(root, 'docs/migrating.md'), 'utf8')
  const blocks = [...text.matchAll(/^```\w+ (input|imported) (\S+) ?(.*)\n([^]*?)^```$/gm)]
  for (const [, kind, name = '', , body = ''] of blocks) if (kind === 'input') write(name, body)

  for (const [, kind, name, words = '', body] of blocks) {
    if (kind !== 'imported') continue
    it(`shows what is printed for ${words}`, async () => {
      const { status, stdout, stderr } = await call(words.split(' '))
      assert.equal(status, 0, stderr)
      assert.equal(stdout, body)
      if (name === 'pkctl.yaml') await check(stdout)
      else assert.equal(findHostEntry('home', write('hosts.yaml', stdout))?.host, 'server.example')
    })
  }

  it('shows an example for each system', () => {
    assert.equal(blocks.filter(([, kind]) => kind === 'imported').length, 7)
  })
})
