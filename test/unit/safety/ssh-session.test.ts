import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Proc } from '../../../src/safety/ssh-session.js'
import { findSession, interfacesOf, parseConnection } from '../../../src/safety/ssh-session.js'

const line = (local: string, remote: string, state = '01') =>
  `   0: ${local} ${remote} ${state} 00000000:00000000 00:00000000`
const heading = '  sl  local_address rem_address   st tx_queue rx_queue'
/** 198.51.100.7 port 50112 at port 22, and the same seen by a socket for both versions of IP. */
const tcp = [heading, line('0A7100CB:0016', '076433C6:C3C0')].join('\n')
const mapped = line('0000000000000000FFFF00000A7100CB:0016', '0000000000000000FFFF0000076433C6:C3C0')
const connection = '198.51.100.7 50112 203.0.113.10 22'
const found = { version: 4, address: '198.51.100.7', localAddress: '203.0.113.10', port: 22, remotePort: 50_112 }

/** /proc with these files. */
const proc = (files: Record<string, string>): Proc => ({ read: file => files[file] })

describe('the ssh session', () => {
  it('is read from SSH_CONNECTION, IPv4 written as IPv6 and zones put right', () => {
    assert.deepEqual(parseConnection(connection), found)
    assert.deepEqual(parseConnection('::ffff:198.51.100.7 50112 ::ffff:203.0.113.10 22'), found)
    assert.deepEqual(parseConnection('fe80:0::1%eth0 1024 fe80::2%eth0 2222'), {
      version: 6,
      address: 'fe80::1',
      localAddress: 'fe80::2',
      port: 2222,
      remotePort: 1024,
    })
    for (const text of ['', 'UNKNOWN 65535 UNKNOWN 65535', '198.51.100.7', '198.51.100.7 1 x', '1.2.3 1 2.3.4.5 22']) {
      assert.equal(parseConnection(text), undefined, text)
    }
    assert.equal(parseConnection(`${connection} more`), undefined)
    assert.equal(parseConnection('198.51.100.7 0 203.0.113.10 22'), undefined)
    assert.equal(parseConnection('198.51.100.7 50112 203.0.113.10 65536'), undefined)
  })

  it('counts while its connection is established', () => {
    assert.deepEqual(findSession(connection, 9, proc({ 'self/net/tcp': tcp })), found)
    assert.deepEqual(findSession(connection, 9, proc({ 'self/net/tcp6': mapped })), found)
    const v6 = line('B80D0120000000000000000001000000:0016', 'B80D0120000000000000000007000000:C3C0')
    assert.equal(findSession('2001:db8::7 50112 2001:db8::1 22', 9, proc({ 'self/net/tcp6': v6 }))?.version, 6)
    assert.equal(findSession(connection, 9, proc({})), undefined)
    const closing = line('0A7100CB:0016', '076433C6:C3C0', '06')
    assert.equal(findSession(connection, 9, proc({ 'self/net/tcp': closing })), undefined)
    assert.equal(findSession(connection.replace('50112', '50113'), 9, proc({ 'self/net/tcp': tcp })), undefined)
  })

  it('is looked for in the processes above, whatever their names, and not without end', () => {
    const files = {
      'self/net/tcp': tcp,
      '9/stat': '9 (node) S 8 9 9',
      '8/stat': '8 (sudo) 1 (x) S 7 8 8',
      '8/environ': 'HOME=/root\0TERM=xterm\0',
      '7/stat': '7 (bash) S 1 7 7',
      '7/environ': `A=SSH_CONNECTION=no\0SSH_CONNECTION=${connection}\0`,
    }
    assert.deepEqual(findSession(undefined, 9, proc(files)), found)
    assert.deepEqual(findSession('192.0.2.1 1 192.0.2.2 22', 9, proc(files)), found, 'its own is stale')
    let reads = 0
    const circle: Proc = { read: file => (reads++, file.endsWith('stat') ? '5 (x) S 5 5 5' : '') }
    assert.equal(findSession(undefined, 5, circle), undefined)
    assert.ok(reads < 500)
  })

  it('comes in by an interface that is known only where the client is in the network of one alone', () => {
    const on = (cidr: string, internal = false) => {
      const [address = ''] = cidr.split('/')
      const rest = { netmask: '', mac: '', internal, cidr }
      return address.includes(':')
        ? { ...rest, address, family: 'IPv6' as const, scopeid: 0 }
        : { ...rest, address, family: 'IPv4' as const }
    }
    const lan = { address: '192.0.2.9', localAddress: '192.0.2.1' }
    const link = { address: 'fe80::9', localAddress: 'fe80::1' }
    const eth0 = [on('192.0.2.1/24'), on('fe80::1/64')]
    const lo = [on('127.0.0.1/8', true), on('::1/128', true)]
    assert.deepEqual(interfacesOf(lan, { lo, eth0 }), ['eth0'])
    assert.deepEqual(interfacesOf(link, { lo, eth0 }), ['eth0'])
    assert.deepEqual(interfacesOf(lan, { lo, 'eth0:1': eth0 }), ['eth0'])
    const vpn = { ...lan, address: '10.8.0.2' }
    for (const [why, session, host] of [
      ['a client of a VPN reaches the address of another interface', vpn, { eth0, wg0: [on('10.8.0.1/24')] }],
      ['a client beyond a router', { ...lan, address: '198.51.100.7' }, { eth0 }],
      ['two links with the same address', link, { eth0, eth1: [on('fe80::1/64')] }],
      ['two links with the same network', lan, { eth0, wlan0: [on('192.0.2.2/24')] }],
      ['an address without a network', { ...lan, localAddress: '192.0.2.5' }, { eth0, dummy0: [on('192.0.2.5/32')] }],
      ['a loopback', { address: '127.0.0.1', localAddress: '127.0.0.1' }, { lo, eth0 }],
      ['an address that is gone', lan, { lo }],
    ] as const) {
      assert.equal(
        interfacesOf(session, Object.fromEntries(Object.entries(host).map(([k, v]) => [k, [...v]]))),
        undefined,
        why,
      )
    }
  })
})
