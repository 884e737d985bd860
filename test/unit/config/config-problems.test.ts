import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { credentialTypes } from '../../../src/config/credentials/credential-types.js'
import { ConfigError } from '../../../src/config/config-error.js'

import { parsePkdKey } from '../../../src/knock/pkd.js'
import type { FakeFile, Files } from './config-support.js'
import { daemonGroup, load, main, only, pkdOf, problemsOf } from './config-support.js'

/** As messages list them; a new type changes no test. */
const knownTypes = credentialTypes.map(({ type }) => type).join(', ')

describe('loadConfig: problems', () => {
  const table: readonly { name: string; yaml: string; files?: Files; want: string[] }[] = [
    {
      name: 'a port out of range',
      yaml: 'services:\n  ssh:\n    port: 0',
      want: ['3:11: services.ssh.port: expected a port from 1 to 65535, got 0'],
    },
    {
      name: 'an unknown key with a near one',
      yaml: 'services:\n  ssh: {port: 1, widnow: 3}',
      want: ["2:18: services.ssh: unknown key 'widnow' (did you mean 'window'?)"],
    },
    {
      name: 'two credentials that are one',
      yaml: [
        'services: {s: {port: 1}}',
        'credentials:',
        '  a: {type: pkd, tag: TAGG, key: test, skew: 3, opens: [s]}',
        '  b: {type: pkd, tag: TAGG, key: "0x74657374", opens: [s]}',
      ].join('\n'),
      want: ['4:6: credentials.b: has the tag and key of credentials.a'],
    },
    {
      name: 'a reset of what is not TCP',
      yaml: 'services:\n  dns: {port: 53, protocol: udp, reject: reset}',
      want: ["2:42: services.dns.reject: only TCP can be reset, this is udp (use 'icmp')"],
    },
    {
      name: 'bad sequences',
      yaml: [
        'services: {s: {port: 1}}',
        'credentials:',
        '  a: {type: sequence, sequence: [7000, "80:icmp"], opens: [s]}',
        '  b: {type: sequence, sequence: [], opens: [s]}',
        '  c: {type: rotating, range: 5-5, digest: crc, grace: 1h, opens: [s], open-secret: x}',
        '  d: {type: rotating, opens: [s]}',
      ].join('\n'),
      want: [
        "3:40: credentials.a.sequence[1]: expected a knock such as 7000 or 8000:udp, got '80:icmp'",
        '4:33: credentials.b.sequence: expected at least one knock',
        "5:30: credentials.c.range: expected a range of ports such as 1-65535, got '5-5'",
        "5:43: credentials.c.digest: expected md5, sha256, sha384 or sha512, got 'crc'",
        "5:55: credentials.c.grace: expected a time below half an hour, got '1h'",
        "6:6: credentials.d: 'open-secret' or 'open-secret-file' is missing",
      ],
    },
    {
      name: 'metrics where none can be served or read',
      yaml: [
        'services: {}',
        'socket: {path: /run/s}',
        'metrics: {listen: localhost:9754, textfile: /run/metrics, interval: 2h}',
      ].join('\n'),
      want: [
        "3:19: metrics.listen: expected an absolute path, or an address and a port such as 127.0.0.1:9754, got 'localhost:9754'",
        "3:45: metrics.textfile: expected a path that ends with .prom, got '/run/metrics'",
        "3:69: metrics.interval: expected a time from 1s to 1h, got '2h'",
      ],
    },
    {
      name: 'a fleet that cannot be, without the URL and the password',
      yaml: [
        'services: {ssh: {port: 22, single-use: true}}',
        'fleet:',
        '  url: redis://user:T0PSECRET@engine.example',
        '  node: a b',
        '  longest-window: 400d',
      ].join('\n'),
      want: [
        "3:8: fleet.url: expected a URL without a user or a password (not shown: it can be a secret) (set 'user' and 'password-file')",
        "4:9: fleet.node: 'a b' is not a name of a fleet or a server (letters, digits, '.', '-' and '_', starting with a letter or digit, at most 64 characters)",
        "5:19: fleet.longest-window: expected a time from 1s to 365d, got '400d'",
      ],
    },
    {
      name: 'a fleet without what it needs, and with what cannot be shared',
      yaml: [
        'services: {ssh: {port: 22, single-use: true}}',
        'fleet: {url: redis://engine.example, node: a, user: u, ca-file: none, share: [ssh]}',
      ].join('\n'),
      want: [
        "2:8: fleet: 'group' is missing (it is a name, the same on all servers of the fleet)",
        "2:8: fleet: 'key-file' is missing (make the key with 'pkctl keygen --out keys/fleet', and copy it to the other servers)",
        "2:47: fleet: 'user' needs 'password-file'",
        "2:56: fleet: 'ca-file' needs a URL with rediss://",
        '2:65: fleet.ca-file: none cannot be read: there is no such file',
      ],
    },
    {
      name: 'knocks that count once in a fleet that there is not, or without end',
      yaml: [
        'services: {s: {port: 1}}',
        'credentials:',
        '  a: {type: pkd, key: test, opens: [s], once: group}',
        '  b: {type: pkd, tag: B, key: test, opens: [s], once: group, skew: -1}',
        '  c: {type: pkd, tag: C, key: test, opens: [s], once: all}',
        '  d: {type: fwknop, key: test, opens: [s], once: group}',
      ].join('\n'),
      want: [
        "3:47: credentials.a.once: there is no fleet of servers ('fleet' says where they ask each other)",
        "4:55: credentials.b.once: has no meaning beside 'skew: -1'",
        "4:55: credentials.b.once: there is no fleet of servers ('fleet' says where they ask each other)",
        "5:55: credentials.c.once: expected node or group, got 'all'",
        "6:6: credentials.d: 'hmac-key' or 'hmac-key-file' is missing",
        "6:44: credentials.d: unknown key 'once' (credentials of other types have it)",
      ],
    },
    {
      name: 'notifications that cannot be sent, without the URL, which can be a secret',
      yaml: [
        'services: {}',
        'notify:',
        '  a: {webhook: ftp://hooks.example/T0PSECRET}',
        '  b: {webhook: "https://user:T0PSECRET@hooks.example"}',
        '  c: {events: [opened]}',
        '  d: {command: [/bin/true], webhook: "https://hooks.example/T0PSECRET"}',
        '  e: {command: [/bin/true], every: 2d}',
      ].join('\n'),
      want: [
        '3:16: notify.a.webhook: expected a URL that starts with https:// or http:// (not shown: it can be a secret)',
        '4:16: notify.b.webhook: expected a URL without a user or a password (not shown: it can be a secret)',
        "5:16: notify.c.events[0]: expected lockout-risk, healed, self-test-failed, self-test-passed or key-expiring, got 'opened'",
        "7:36: notify.e.every: expected a time from 1s to 1d, got '2d'",
      ],
    },
    {
      name: 'a notification that is neither a webhook nor a command, or both',
      yaml: 'services: {}\nnotify:\n  c: {events: [healed]}\n  d: {command: [/bin/true], webhook: "https://hooks.example/T0PSECRET"}',
      want: [
        '3:6: notify.c: expected one of webhook, command and shell',
        '4:6: notify.d: expected one of webhook, command and shell',
      ],
    },
    {
      name: 'a self-test that is neither off nor at an interval',
      yaml: 'services: {}\nself-test: 2h',
      want: ["2:12: self-test: expected off, or a time from 1s to 1h, got '2h'"],
    },
    ...[
      ['::1:9754', "expected an absolute path, or an address and a port such as 127.0.0.1:9754, got '::1:9754'"],
      [
        '[127.0.0.1]:9754',
        "expected an absolute path, or an address and a port such as 127.0.0.1:9754, got '[127.0.0.1]:9754'",
      ],
      ['127.0.0.1', "expected an absolute path, or an address and a port such as 127.0.0.1:9754, got '127.0.0.1'"],
      ['127.0.0.1:0', "expected a port from 1 to 65535, got '0'"],
      ['1.2.3:80', "expected an IPv4 or IPv6 address, got '1.2.3'"],
      [`/${'x'.repeat(107)}`, 'expected a path of at most 107 bytes, the longest path of a socket, got 108'],
      ['/run/pkctl/pkctl.sock', "/run/pkctl/pkctl.sock is the socket of 'socket' (give it another name)"],
    ].map(([listen = '', want = '']) => ({
      name: `metrics at ${listen.slice(0, 30)}`,
      yaml: `services: {}\nmetrics: {listen: '${listen}'}`,
      want: [`2:19: metrics.listen: ${want}`],
    })),
    {
      name: 'interfaces that are no names',
      yaml: 'services: {s: {port: 1, interface: "*"}, t: {port: 2, interface: [eth0, "a b"]}, u: {port: 3, interface: 4}}',
      want: [
        "1:36: services.s.interface: expected the name of an interface such as eth0, or ppp* for all that start with ppp, got '*'",
        "1:73: services.t.interface[1]: expected the name of an interface such as eth0, or ppp* for all that start with ppp, got 'a b'",
        '1:106: services.u.interface: expected the name of an interface, or a list of names, got 4',
      ],
    },
    {
      name: 'knocks that the kernel cannot tell apart, with other interfaces',
      yaml: [
        'services: {s: {port: 1}}',
        'credentials:',
        '  a: {type: pkd, tag: TAGG, key: test, opens: [s]}',
        '  b: {type: pkd, tag: TAGG, key: toast, opens: [s], interface: eth0}',
        '  c: {type: pkd, tag: TAGX, key: toast, opens: [s], interface: eth0, port: 1}',
        '  d: {type: pkd, tag: TAGX, key: roast, opens: [s], port: 2}',
        '  e: {type: sequence, sequence: [3, 1, 2], opens: [s], interface: eth0}',
        '  f: {type: sequence, sequence: [6, 5, 7], opens: [s]}',
        '  g: {type: sequence, sequence: [8, 7, 9], opens: [s], enabled: false}',
      ].join('\n'),
      want: [
        '4:64: credentials.b.interface: credentials.a has the same tag and another interface (give one of them another tag or port)',
        '7:67: credentials.f.interface: all sequences count on the same interfaces, and credentials.e has others (give all of them the same interface, or none)',
      ],
    },
    {
      name: 'an unknown section',
      yaml: '\nservice: {}',
      want: ["2:1: unknown key 'service' (did you mean 'services'?)"],
    },
    { name: 'an unknown key like no other', yaml: 'queue: {zzz: 1}', want: ["1:9: queue: unknown key 'zzz'"] },
    { name: 'a wrong type', yaml: 'queue: 5', want: ['1:8: queue: expected a mapping, got 5'] },
    {
      name: 'wrong types of settings, all at once',
      yaml: 'queue: {number: x}\nlimits: {total: -1}\nlog: {level: loud}\nallow-readable-keys: 1',
      want: [
        "1:17: queue.number: expected a queue number from 0 to 65535, got 'x'",
        '2:17: limits.total: expected a number from 0 to 10000000, got -1',
        "3:14: log.level: expected error, warn, info or debug, got 'loud'",
        '4:22: allow-readable-keys: expected true or false, got 1',
      ],
    },
    {
      name: 'a number with a fraction and out of range, once',
      yaml: 'queue: {number: -1.5}',
      want: ['1:17: queue.number: expected a queue number from 0 to 65535, got -1.5'],
    },
    {
      name: 'a mask with a gap',
      yaml: 'marks: {mask: 0xff00ff00}',
      want: ['1:15: marks.mask: expected a mask of 8 to 32 adjacent bits such as 0xffff0000, got 0xff00ff00'],
    },
    {
      name: 'relative paths',
      yaml: 'state-directory: x\nsocket: {path: y}\nlog: {to: z}',
      want: [
        "1:18: state-directory: expected an absolute path, got 'x'",
        "2:16: socket.path: expected an absolute path, got 'y'",
        "3:11: log.to: expected console, syslog or an absolute path, got 'z'",
      ],
    },
    {
      name: 'what a group may',
      yaml: 'socket: {group: adm, group-may: [status, init]}',
      want: ["1:42: socket.group-may[1]: expected status, list, add, delete or reload, got 'init'"],
    },
    { name: 'no port', yaml: 'services: {ssh: {}}', want: ["1:17: services.ssh: 'port' is missing"] },
    { name: 'nothing', yaml: 'services:\n  ssh:', want: ['2:3: services.ssh: expected a mapping, got nothing'] },
    {
      name: 'a list of services',
      yaml: 'services: [ssh]',
      want: ['1:11: services: expected a mapping of names, got a list'],
    },
    {
      name: 'a bad name',
      yaml: 'services: {-x: {port: 1}}',
      want: [
        "1:12: services: '-x' is not a name (letters, digits, '-' and '_', starting with a letter or digit, at most 40 characters)",
      ],
    },
    {
      name: 'syn for another protocol',
      yaml: 'services: {s: {port: 1, protocol: udp, syn: true}}',
      want: ['1:45: services.s.syn: only protocol tcp can have it, this is udp'],
    },
    {
      name: 'accept with reject',
      yaml: 'services: {s: {port: 1, accept: true, reject: drop}}',
      want: ["1:39: services.s.reject: excludes 'accept: true', which refuses no packet"],
    },
    {
      name: 'items of lists',
      yaml: 'services: {s: {port: [1, 0], allow: [10.0.0.1/8]}}',
      want: [
        '1:26: services.s.port[1]: expected a port from 1 to 65535, got 0',
        "1:38: services.s.allow[0]: '10.0.0.1/8' is not a prefix: it has bits set after the first 8 (the prefix is 10.0.0.0/8, the single address 10.0.0.1)",
      ],
    },
    {
      name: 'a log rule',
      yaml: "services: {s: {port: 1, log: {prefix: 'a\"b', limit: 5/year, brst: 1}}}",
      want: [
        '1:39: services.s.log.prefix: expected at most 63 printable ASCII characters without " and \\, got \'a"b\'',
        "1:53: services.s.log.limit: expected a rate such as 5/minute, or none, got '5/year'",
        "1:61: services.s.log: unknown key 'brst' (did you mean 'burst'?)",
      ],
    },
    {
      name: 'a log that is text',
      yaml: 'services: {s: {port: 1, log: on}}',
      want: ["1:30: services.s.log: expected true, false or a mapping, got 'on'"],
    },
    {
      name: 'two services on one port',
      yaml: 'services:\n  a: {port: 20-30}\n  b: {port: [1, 25-40], protocol: any}\n  c: {port: 25, protocol: udp}',
      want: [
        '3:13: services.b.port: tcp port 25-30 belongs to services.a already, at pkctl.yaml:2:13',
        '4:13: services.c.port: udp port 25 belongs to services.b already, at pkctl.yaml:3:13',
      ],
    },
    {
      name: 'a type that is not known',
      yaml: 'credentials:\n  c: {type: gpg}',
      want: [`2:13: credentials.c.type: unknown credential type 'gpg'; known: ${knownTypes}`],
    },
    {
      name: 'no type',
      yaml: 'credentials: {c: {}}',
      want: [`1:18: credentials.c: 'type' is missing; known: ${knownTypes}`],
    },
    {
      name: 'bad options of type ssh',
      yaml: 'services: {s: {port: 1}}\ncredentials:\n  c: {type: ssh, opens: [s], authorized-keys: ["~/keys", ""], principals: ["a b"], identity: pk1:x}',
      want: [
        "3:48: credentials.c.authorized-keys[0]: '~/keys' names no user (write ~alice/.ssh/authorized_keys)",
        '3:58: credentials.c.authorized-keys[1]: expected a path, got empty text',
        "3:76: credentials.c.principals[0]: 'a b' is not the name of a principal",
        "3:94: credentials.c.identity: expected an identity such as pk1:… ('pkctl keygen --server' prints it)",
      ],
    },
    {
      name: 'type ssh without keys, and without an identity',
      yaml: 'services: {s: {port: 1}}\ncredentials:\n  c: {type: ssh, opens: [s]}',
      want: [
        "3:6: credentials.c: 'authorized-keys' or 'ca-keys' is missing",
        "3:6: credentials.c: this server has no identity (make it with 'pkctl keygen --server')",
      ],
    },
    {
      name: 'neither key nor services',
      yaml: 'credentials: {c: {type: pkd}}',
      want: [
        "1:18: credentials.c: 'key' or 'key-file' is missing",
        "1:18: credentials.c: opens nothing and runs nothing ('opens' names services, 'on-open' a command)",
      ],
    },
    {
      name: 'bad values of a credential',
      yaml: 'credentials:\n  c: {type: pkd, key: [x], tag: toolong, port: 0, opens: [s, s], skew: -2, rate: 5, window: 366d}',
      want: [
        '2:23: credentials.c.key: expected text, got a list',
        '2:33: credentials.c.tag: the tag is 7 bytes long, at most 4 are possible',
        '2:48: credentials.c.port: expected a port from 1 to 65535, or any, got 0',
        '2:72: credentials.c.skew: expected a time from 0 to 1d, or -1 for any clock, got -2',
        '2:82: credentials.c.rate: expected a rate such as 5/10s or 20/minute, or none, got 5',
        "2:93: credentials.c.window: expected a time from 1s to 365d, got '366d'",
      ],
    },
    {
      name: 'a service listed twice',
      yaml: 'credentials: {c: {type: pkd, key: x, opens: [s, s]}}',
      want: ["1:49: credentials.c.opens[1]: 's' is listed twice"],
    },
    {
      name: 'no service to open',
      yaml: 'credentials: {c: {type: pkd, key: x, opens: []}}',
      want: ["1:18: credentials.c: opens nothing and runs nothing ('opens' names services, 'on-open' a command)"],
    },
    {
      name: 'triggers that cannot be',
      yaml: [
        'credentials:',
        '  c:',
        '    type: pkd',
        '    key: x',
        '    on-open: {command: [relative, x]}',
        '    on-close: {command: [/bin/a], shell: b, user: "a b", timeout: 2d}',
        '    on-expiry: {user: nobody}',
        '  d: {type: pkd, key: y, on-open: {comand: [/bin/a]}}',
        '  e: {type: pkd, key: z, on-open: {shell: "a\\0b"}}',
      ].join('\n'),
      want: [
        "5:24: credentials.c.on-open.command: expected the absolute path of a program first, got 'relative' (a line for a shell goes into 'shell')",
        "6:51: credentials.c.on-close.user: expected the name of a user, got 'a b'",
        "6:67: credentials.c.on-close.timeout: expected a time from 1s to 1d, got '2d'",
        "8:36: credentials.d.on-open: unknown key 'comand' (did you mean 'command'?)",
        '9:43: credentials.e.on-open.shell: expected text without zero bytes',
      ],
    },
    {
      name: 'triggers that say too much or nothing',
      yaml: [
        'credentials:',
        '  c:',
        '    type: pkd',
        '    key: x',
        '    on-close: {command: [/bin/a], shell: b}',
        '    on-expiry: {user: nobody}',
      ].join('\n'),
      want: [
        "5:42: credentials.c.on-close: 'command' and 'shell' are both given",
        "6:16: credentials.c.on-expiry: 'command' or 'shell' is missing",
      ],
    },
    {
      name: 'flags, targets and files of sequences that cannot be',
      yaml: [
        'credentials:',
        '  a: {type: sequence, sequence: [1], opens: [s], tcp-flags: [syn, "!syn"]}',
        '  b: {type: sequence, sequence: [1], opens: [s], tcp-flags: [cwr], target: 192.0.2.0/24}',
        '  c: {type: one-time, sequences-file: gone, opens: [s]}',
        '  d: {type: one-time, sequences-file: bad, opens: [s]}',
        '  e: {type: sequence, sequence: [1], opens: [s], window: forever}',
        'services: {s: {port: 5-7, except: [5, 6-9]}}',
      ].join('\n'),
      files: { bad: '#1,2\n 3,4\n 5,x\n' },
      want: [
        '2:61: credentials.a.tcp-flags: the flag syn is given twice',
        "3:61: credentials.b.tcp-flags: expected fin, syn, rst, psh, ack or urg, or one with ! before it, got 'cwr'",
        "3:76: credentials.b.target: expected an IPv4 or IPv6 address, got '192.0.2.0/24'",
        '4:39: credentials.c.sequences-file: gone cannot be used: there is no such file',
        '5:39: credentials.d.sequences-file: bad cannot be used: line 3: expected knocks such as 7000 or 8000:udp, with commas between them',
        "6:58: credentials.e.window: expected seconds, or a duration such as 30s, 10m, 8h, 1h30m or 2d, got 'forever'",
        '7:35: services.s.except: leaves no port to protect',
      ],
    },
    {
      name: 'to open and to close',
      yaml: [
        'services: {s: {port: 1}}',
        'credentials:',
        '  c: {type: pkd, key: x, closes: [s, s], opens: [s], window: 5, on-open: {command: [/bin/a]}}',
      ].join('\n'),
      want: [
        "3:38: credentials.c.closes[1]: 's' is listed twice",
        "3:49: credentials.c.opens: has no meaning beside 'closes'",
        "3:62: credentials.c.window: has no meaning beside 'closes'",
        "3:74: credentials.c.on-open: has no meaning beside 'closes'",
      ],
    },
    {
      name: 'on behalf of nobody',
      yaml: 'credentials: {c: {type: pkd, key: x, on-open: {command: [/bin/a]}, obo: true}}',
      want: [
        "1:73: credentials.c.obo: no address may be asked for (name them with 'obo-prefixes'; 0.0.0.0/0 and ::/0 are all)",
      ],
    },
    { name: 'a list', yaml: '- a', want: ['1:1: expected a mapping of options, got a list'] },
    { name: 'text', yaml: 'hello', want: ['1:1: expected a mapping of options, got text'] },
    {
      name: 'duplicate keys, and what is wrong besides',
      yaml: 'services:\n  a: {port: 1}\n  b: {port: 0}\n  a: {port: 2}',
      want: [
        '3:13: services.b.port: expected a port from 1 to 65535, got 0',
        "4:3: 'a' is given twice, first at pkctl.yaml:2:3",
      ],
    },
    {
      name: 'two documents',
      yaml: 'queue: {}\n---\nqueue: {}',
      want: ['2:1: expected one YAML document, got several'],
    },
    { name: 'an unknown tag', yaml: 'log: !x {}', want: ['1:6: a value starts with !, and is no tag of YAML'] },
    {
      name: 'an alias without anchor',
      yaml: 'log: *x',
      want: ['1:6: a value starts with *, and there is no anchor of this name before it'],
    },
    { name: '__proto__', yaml: 'services: {__proto__: {}}', want: ["1:12: '__proto__' cannot be a key"] },
    { name: 'control characters', yaml: '"a\\nb\\e": 1', want: ["1:1: unknown key 'a\\u000ab\\u001b'"] },
    { name: 'deep nesting of brackets', yaml: '['.repeat(100_000), want: ['1:1: is nested too deeply'] },
    {
      name: 'deep nesting of brackets between comments',
      yaml: '# ]\n[\n'.repeat(1000),
      want: ['1:1: is nested too deeply'],
    },
    {
      name: 'brackets in comments',
      yaml: `${'# [\n'.repeat(1000)}log: { level: 7 }`,
      want: ['1001:15: log.level: expected error, warn, info or debug, got 7'],
    },
    { name: 'deep nesting of dashes', yaml: '- '.repeat(100_000), want: ['1:1: is nested too deeply'] },
  ]
  for (const { name, yaml, files = {}, want } of table) {
    it(name, () =>
      assert.deepEqual(
        problemsOf({ 'pkctl.yaml': yaml, ...files }),
        want.map(line => `pkctl.yaml:${line}`),
      ),
    )
  }

  it('tells a syntax error with its place', () => {
    assert.match(problemsOf('queue:\n  number: 1\n number: 2').join('\n'), /^pkctl\.yaml:3:\d+: .+/)
  })

  it('bounds aliases that multiply', () => {
    const lines = ['a: &a0 [x, x, x, x, x, x, x, x, x, x]']
    for (let i = 1; i < 9; i++)
      lines.push(
        `b${i}: &a${i} [${Array(10)
          .fill(`*a${i - 1}`)
          .join(', ')}]`,
      )
    assert.match(only(problemsOf(lines.join('\n'))), /^pkctl\.yaml:1:1: .*aliases lead to too many values/)
  })

  it('never shows a secret of the wrong type', () => {
    const texts = ['{c: sesame}', '{c: {type: pkd, key: {sesame: 1}}}', '{c: {type: pkd, key-file: [sesame]}}']
    for (const text of texts) assert.doesNotMatch(problemsOf(`credentials: ${text}`).join('\n'), /sesame/)
  })

  it('has problems as data', () => {
    assert.throws(
      () => load('queue: {numbr: 1}'),
      (error: unknown) => {
        assert.ok(error instanceof ConfigError)
        assert.deepEqual(error.problems, [
          { file: main, line: 1, column: 9, message: "queue: unknown key 'numbr'", hint: "did you mean 'number'?" },
        ])
        return true
      },
    )
  })

  const files: readonly { name: string; files: Files; want: string[] }[] = [
    { name: 'no file', files: {}, want: ['pkctl.yaml:1:1: cannot be read: there is no such file'] },
    {
      name: 'bytes that are not text',
      files: { 'pkctl.yaml': { text: Buffer.from([0x61, 0xff]) } },
      want: ['pkctl.yaml:1:1: is not UTF-8 text'],
    },
    {
      name: 'given in two files',
      files: {
        'pkctl.yaml': 'services: {a: {port: 1}}\nlimits: {total: 1}\nstate-directory: /a\nlog: 3',
        'conf.d/x.yml': 'services: {a: {port: 2}}\nlimits: {total: 1}\nstate-directory: /a\nlog: {}',
      },
      want: [
        'pkctl.yaml:4:6: log: expected a mapping, got 3',
        "conf.d/x.yml:1:12: services: 'a' is given twice, first at pkctl.yaml:1:12",
        "conf.d/x.yml:2:10: limits: 'total' is given twice, first at pkctl.yaml:2:10",
        "conf.d/x.yml:3:1: 'state-directory' is given twice, first at pkctl.yaml:3:1",
        "conf.d/x.yml:4:1: 'log' is given twice, first at pkctl.yaml:4:1",
      ],
    },
    {
      name: 'problems of all files, in their order',
      files: { 'conf.d/b.yaml': 'x: 1', 'conf.d/a.yaml': 'a: [', 'pkctl.yaml': 'services: {s: {port: 0}}' },
      want: [
        'pkctl.yaml:1:22: services.s.port: expected a port from 1 to 65535, got 0',
        'conf.d/a.yaml:1:5: Flow sequence in block collection must be sufficiently indented and end with a ]',
        "conf.d/b.yaml:1:1: unknown key 'x'",
      ],
    },
  ]
  for (const { name, files: given, want } of files) {
    it(name, () => assert.deepEqual(problemsOf(given), want))
  }
})

describe('loadConfig: key files', () => {
  const yaml = (rest = '') => `services: {s: {port: 1}}\ncredentials:\n  c: {type: pkd, opens: [s], key-file: k${rest}}`
  const withKey = (key: FakeFile): Files => ({ 'pkctl.yaml': yaml(), k: key })
  const contents: readonly [string, string][] = [
    ['test', 'test'],
    ['test\n', 'test'],
    ['test\r\n', 'test'],
    ['0x74657374\nlaptop of Ann\n', 'test'],
    ['te st\n', 'te st'],
  ]
  for (const [text, key] of contents) {
    it(`reads ${JSON.stringify(text)}`, () => {
      const got = only(pkdOf(load(withKey({ text })).config.credentials))
      assert.deepEqual([got.key, got.keyFrom], [parsePkdKey(key), { kind: 'file', path: '/etc/pkctl/k' }])
    })
  }

  it('starts a relative path at the file that names it', () => {
    const { config } = load({ 'conf.d/a.yaml': yaml(), 'pkctl.yaml': '', 'conf.d/k': 'x', k: 'y' })
    assert.deepEqual(only(pkdOf(config.credentials)).key, parsePkdKey('x'))
  })

  const at = 'pkctl.yaml:3:40: credentials.c.key-file: k'
  const refused: readonly [string, Files, string][] = [
    ['missing', { 'pkctl.yaml': yaml() }, `${at} cannot be read: there is no such file`],
    ['empty', withKey({ text: '' }), `${at} is empty`],
    ['empty in its first line', withKey({ text: '\nx' }), `${at} has an empty first line, where the key should be`],
    [
      'too long',
      withKey({ text: 'x'.repeat(41) }),
      `${at} holds no usable key: the key is 41 bytes long, at most 40 are possible`,
    ],
    ['too large', withKey({ text: 'x'.repeat(70_000) }), `${at} is too large for a key, which is one line`],
    ['no text', withKey({ text: Buffer.from([0xff]) }), `${at} is not UTF-8 text (write the key as hex after 0x)`],
    ['a pipe', withKey({ text: 'x', kind: 'pipe' }), `${at} is not a regular file`],
    [
      'readable by its group',
      withKey({ text: 'x', mode: 0o640 }),
      `${at} can be read by group or others (mode 0640) (chmod 600 k, or set 'allow-readable-keys: true')`,
    ],
    [
      "writable by the daemon's group",
      withKey({ text: 'x', mode: 0o660, gid: daemonGroup }),
      `${at} can be written by group or others (mode 0660) (chmod 640 k, or set 'allow-readable-keys: true')`,
    ],
    [
      "the daemon's group's, and readable by others",
      withKey({ text: 'x', mode: 0o644, gid: daemonGroup }),
      `${at} can be read by group or others (mode 0644) (chmod 640 k, or set 'allow-readable-keys: true')`,
    ],
    [
      'beside a key',
      { 'pkctl.yaml': yaml(', key: x'), k: 'x' },
      "pkctl.yaml:3:30: credentials.c: 'key' and 'key-file' are both given; one is needed",
    ],
  ]
  for (const [name, files, want] of refused) {
    it(`refuses one that is ${name}`, () => assert.deepEqual(problemsOf(files), [want]))
  }

  it("takes one that only the daemon's group can read", () => {
    assert.deepEqual(problemsOf(withKey({ text: 'x', mode: 0o640, gid: daemonGroup })), [])
  })

  const warnings: readonly { name: string; files: Files; want: string[] }[] = [
    {
      name: 'an address that can be a different machine on each link, and always allowed',
      files: {
        'pkctl.yaml': [
          'services:',
          '  a: {port: 1, allow: ["fe80::5"]}',
          '  b: {port: 2, allow: ["169.254.1.0/24"], interface: [eth0, eth1]}',
          '  c: {port: 3, allow: ["fe80::5"], interface: eth0}',
          '  d: {port: 4, allow: ["fe80::/64", "fe80::/10", "169.254.0.0/16", "192.0.2.1"]}',
        ].join('\n'),
      },
      want: [
        "pkctl.yaml:2:23: services.a.allow: fe80::5/128 can be a different machine on each link, and all of them have access; 'interface' with one name limits it to one",
        "pkctl.yaml:3:23: services.b.allow: 169.254.1.0/24 can be a different machine on each link, and all of them have access; 'interface' with one name limits it to one",
      ],
    },
    {
      name: 'what has little effect, or soon none',
      files: {
        'pkctl.yaml': [
          'services: {s: {port: 1}}',
          'credentials:',
          '  a: {type: one-time, sequences-file: few, opens: [s]}',
          '  b: {type: one-time, sequences-file: none, opens: [s]}',
          '  c: {type: pkd, key: a, opens: [s], obo-prefixes: [192.0.2.0/24]}',
          '  d: {type: pkd, key: b, on-open: {shell: "echo {ipp} {x} {port}"}}',
        ].join('\n'),
        few: '#1\n 1,2\n\n2:udp,1',
        none: '#1\n',
      },
      want: [
        'pkctl.yaml:3:39: credentials.a.sequences-file: few has only 2 sequences left',
        'pkctl.yaml:4:39: credentials.b.sequences-file: none has no sequence left: no client can knock',
        "pkctl.yaml:5:52: credentials.c.obo-prefixes: has no meaning without 'obo: true'",
        'pkctl.yaml:6:35: credentials.d.on-open: {ipp} is not replaced; is it {ip}?',
      ],
    },
    {
      name: 'sequences that one knock completes',
      files: {
        'pkctl.yaml': [
          'services: {s: {port: 1}}',
          'credentials:',
          '  short: {type: sequence, sequence: [8000, 7000], opens: [s]}',
          '  same: {type: sequence, sequence: [8000, 7000], opens: [s]}',
          '  long: {type: sequence, sequence: [9000, 8000, 7000], opens: [s]}',
          '  other: {type: sequence, sequence: [9000, "8000:udp", 7000], opens: [s]}',
          '  elsewhere: {type: sequence, sequence: [8000, 7000], target: [192.0.2.1], opens: [s]}',
          '  off: {type: sequence, sequence: [8000, 7000], opens: [s], enabled: false}',
        ].join('\n'),
      },
      want: [
        'pkctl.yaml:4:36: credentials.same.sequence: a client that knocks it also completes the sequence of short, and only one of them counts',
        'pkctl.yaml:5:36: credentials.long.sequence: a client that knocks it also completes the sequence of short, and only one of them counts',
      ],
    },
    {
      name: 'sequences of which none can be marked as used',
      files: {
        'pkctl.yaml': 'services: {s: {port: 1}}\ncredentials: {a: {type: one-time, sequences-file: kept, opens: [s]}}',
        kept: { text: '1,2\n'.repeat(20), mode: 0o400 },
      },
      want: [
        'pkctl.yaml:2:51: credentials.a.sequences-file: kept cannot be written (read-only file system): pkctld cannot mark sequences as used, so no sequence in it opens anything',
      ],
    },
    {
      name: 'a readable key file that is allowed',
      files: { 'pkctl.yaml': `${yaml()}\nallow-readable-keys: true`, k: { text: 'x', mode: 0o604 } },
      want: [`${at} can be read by group or others (mode 0604); chmod 600 k`],
    },
    {
      name: 'white space',
      files: withKey({ text: 'x \n' }),
      want: [`${at} has a key that starts or ends with white space`],
    },
    {
      name: 'readable files with keys, once each',
      files: {
        'pkctl.yaml': { text: 'services: {s: {port: 1}}', mode: 0o644 },
        'conf.d/a.yaml': {
          text: 'credentials:\n  a: {type: pkd, key: x, opens: [s]}\n  b: {type: pkd, key: y, opens: [s]}',
          mode: 0o644,
        },
        'conf.d/b.yaml': { text: 'credentials: {c: {type: pkd, key: z, opens: [s]}}', mode: 0o640 },
      },
      want: ['conf.d/a.yaml:2:18: everyone can read the key in this file; chmod 640 conf.d/a.yaml'],
    },
    {
      name: 'a port that would be closed to everyone',
      files: {
        'pkctl.yaml': [
          'services:',
          '  a: {port: 1}',
          '  b: {port: 2, allow: [192.0.2.1]}',
          '  c: {port: 3, accept: true}',
          '  d: {port: 4}',
          '  e: {port: 5}',
          'credentials:',
          '  x: {type: pkd, key: x, opens: [d], enabled: false}',
          '  y: {type: pkd, key: y, opens: [e]}',
        ].join('\n'),
      },
      want: [
        "pkctl.yaml:2:3: services.a: no credential opens it, and its allowlist is empty; only 'pkctl add ADDRESS --service a' gives a source access",
        "pkctl.yaml:5:3: services.d: no enabled credential opens it, and its allowlist is empty; only 'pkctl add ADDRESS --service d' gives a source access",
      ],
    },
    {
      name: 'a secret of which YAML may have taken a part',
      files: {
        'pkctl.yaml': [
          'services: {s: {port: 1}}',
          'credentials:',
          '  a: {type: pkd, tag: AAAA, key: &abc def, opens: [s]}',
          '  b: {type: pkd, tag: BBBB, key: "abc" #def',
          '    , opens: [s]}',
          '  c: {type: pkd, tag: CCCC, opens: [s], key: abc #def',
          '    }',
          '  d: {type: pkd, tag: DDDD, opens: [s], key: abc # of the phone',
          '    }',
          '  e: {type: pkd, tag: &tag EEEE, opens: [s], key: *tag}',
          '  f: {type: rotating, opens: [s], open-secret: ! def}',
        ].join('\n'),
      },
      want: [
        'pkctl.yaml:3:39: YAML takes the word after & for a name, and nothing uses it; if it belongs to the value, put that between single quotes',
        'pkctl.yaml:6:46: YAML takes what follows # for a comment; if it belongs to the value, put that between single quotes',
        'pkctl.yaml:11:50: YAML takes the ! before it for a tag; if it belongs to the value, put that between single quotes',
      ],
    },
    {
      name: 'a service that is not in the configuration',
      files: { 'pkctl.yaml': 'credentials: {laptop: {type: pkd, key: x, opens: [ssh]}}' },
      want: [
        "pkctl.yaml:1:51: credentials.laptop.opens: service 'ssh' is not in the configuration; it must have been made with pkctl init",
      ],
    },
  ]
  for (const { name, files, want } of warnings) {
    it(`warns of ${name}`, () => {
      assert.deepEqual(
        load(files).warnings.map(line => line.replaceAll('/etc/pkctl/', '')),
        want,
      )
    })
  }
})
