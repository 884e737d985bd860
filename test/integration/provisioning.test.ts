/** The templates that bring pkctl onto many machines, as far as they need no program of others: see lab/templates. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import path from 'node:path'
import { after, describe, it } from 'node:test'
import { parse } from 'yaml'
import { secretOptions } from '../../src/config/index.js'
import { must, pkctl, root } from '../support/commands.js'
import { Lab } from '../support/lab.js'

const templates = path.join(root, 'templates')
const role = path.join(templates, 'ansible/roles/pkctl')
const textOf = (file: string) => fs.readFileSync(file, 'utf8')
const directory = fs.mkdtempSync('/tmp/pkctl-provisioning-')
after(() => fs.rmSync(directory, { recursive: true }))

describe('the Ansible role', () => {
  it('has a description, a default and a line in the document for each variable', () => {
    const specs = parse(textOf(path.join(role, 'meta/argument_specs.yml'))) as {
      argument_specs: { main: { options: Record<string, { type: string; description: string }> } }
    }
    const defaults = parse(textOf(path.join(role, 'defaults/main.yml'))) as Record<string, unknown>
    const { options } = specs.argument_specs.main
    assert.deepEqual(Object.keys(defaults), Object.keys(options))
    const document = textOf(path.join(root, 'docs/provisioning.md'))
    for (const [name, { description }] of Object.entries(options)) {
      assert.ok(description.length > 10, name)
      assert.match(document, new RegExp(`^\\| \`${name}\``, 'm'))
    }
    const example = parse(textOf(path.join(templates, 'ansible/inventory.example.yml'))) as {
      pkctl: { vars: Record<string, unknown> }
    }
    for (const name of Object.keys(example.pkctl.vars)) assert.ok(name in options, name)
  })

  it('knows each option of a credential that holds a secret', () => {
    const vars = parse(textOf(path.join(role, 'vars/main.yml'))) as { pkctl_secret_options: string[] }
    assert.deepEqual([...vars.pkctl_secret_options].sort(), [...secretOptions].sort())
  })
})

describe('the example for cron', () => {
  const text = textOf(path.join(templates, 'examples/pkctl-guests'))
  const lines = text.split('\n').filter(line => line !== '' && !line.startsWith('#'))
  const isSetting = (line: string) => /^[A-Z]+=\S+$/.test(line)
  const entries = lines.filter(line => !isSetting(line))
  const bounds = [
    [0, 59],
    [0, 23],
    [1, 31],
    [1, 12],
    [0, 7],
  ] as const
  const names = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']

  it('has lines that cron understands, a user among their fields, and a name that it does not pass over', () => {
    assert.ok(text.endsWith('\n'), 'cron ignores a last line without an end')
    assert.ok(entries.length > 0)
    for (const line of entries) {
      const fields = line.split(' ')
      for (const [i, [least, most]] of bounds.entries()) {
        for (const range of (fields[i] ?? '').split(',')) {
          const [, from = '', to = from] = /^(\*|\w+)(?:-(\w+))?$/.exec(range) ?? []
          if (from === '*') continue
          const [first = NaN, last = NaN] = [from, to].map(word => {
            const day = i === 4 ? names.indexOf(word) : -1
            return day < 0 ? Number(word) : day
          })
          assert.ok(least <= first && first <= last && last <= most, `${range} in ${line}`)
        }
      }
      assert.equal(fields[5], 'root', line)
      assert.ok(!line.includes('%'), 'cron takes it for the end of a line')
    }
  })

  it('has commands that do what they say', async () => {
    const lab = await Lab.create()
    try {
      await lab.mustPkctl('init', 'ssh', '--port', '22', '--syn')
      await lab.mustPkctl('add', '198.51.100.30', '--service', 'ssh')
      lab.file('bin/pkctl', `#!/bin/sh\nexec ${process.execPath} ${pkctl} "$@"\n`, 0o755)
      for (const line of entries) {
        const command = line.split(' ').slice(6).join(' ')
        const PATH = `${lab.directory}/bin:${process.env['PATH'] ?? ''}`
        const { status, stdout, stderr } = await lab.on(['sh', '-c', command], { env: { PATH } })
        assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' }, line)
      }
      const { services } = JSON.parse(await lab.mustPkctl('list', '--json')) as {
        services: { grants: { source: string; secondsLeft: number }[] }[]
      }
      const granted = (services[0]?.grants ?? []).map(({ source, secondsLeft }) => [
        source,
        Math.round(secondsLeft / 3600),
      ])
      assert.deepEqual(granted, [
        ['198.51.100.20', 8],
        ['2001:db8::20', 9],
      ])
    } finally {
      await lab.remove()
    }
  })
})

describe('the example for cloud-init', () => {
  const example = path.join(templates, 'examples/cloud-init.yaml')
  const data = parse(textOf(example)) as { write_files: { path: string; content: string }[]; runcmd: string[] }

  it('holds a configuration that is valid once the machine has made its key', async () => {
    const home = fs.mkdtempSync(path.join(directory, 'cloud-'))
    const [script = ''] = data.runcmd
    for (const [, command] of script.matchAll(/^pkctl (keygen .*)$/gm)) {
      fs.mkdirSync(path.join(home, 'keys'))
      await must([process.execPath, pkctl, ...(command ?? '').replaceAll('/etc/pkctl', home).split(' ')])
    }
    const [written] = data.write_files
    assert.ok(script.includes(` ${written?.path} /etc/pkctl/pkctl.yaml`), 'it is put in its place')
    const config = path.join(home, 'pkctl.yaml')
    fs.writeFileSync(config, written?.content ?? '', { mode: 0o600 })
    assert.match(await must([process.execPath, pkctl, 'check', '--config', config]), /1 service, 1 credential$/m)
  })

  it('runs commands that a shell understands, and stops at the first that fails', async () => {
    for (const script of data.runcmd) {
      assert.match(script, /^set -eu\n/)
      await must(['sh', '-n', '-c', script])
    }
  })
})
