/** The client on the bridge of a FleetSite: knocks at servers, and tries whether they let it in. */
import path from 'node:path'
import { dist } from './commands.js'
import type { FleetServer, FleetSite } from './engine.js'
import { clientAddress } from './engine.js'
import { knockHex, knockPort } from './knocks.js'
import { PeerProcess } from './peerprocess.js'

export class FleetClient {
  readonly #peer: PeerProcess

  constructor({ hub }: FleetSite) {
    const peer = path.join(dist, 'test/support/peer.js')
    this.#peer = new PeerProcess(['ip', 'netns', 'exec', hub, process.execPath, peer])
  }

  stop(): void {
    this.#peer.stop()
  }

  /** Sends the same knock to each of the servers. */
  async knock(servers: FleetServer | readonly FleetServer[], from = clientAddress, tag = 'SSHK'): Promise<void> {
    const hex = knockHex({ tag })
    const hosts = [servers].flat().map(({ address }) => address)
    await this.#peer.take(hosts.map(host => ({ send: { host, port: knockPort, from, hex } })))
  }

  /** A port without a program answers with a reset where the gate lets a connection through. */
  async opens({ address: host }: FleetServer, from = clientAddress, port = 22): Promise<boolean> {
    const [outcome] = await this.#peer.take([{ connect: { host, port, from } }])
    return outcome?.result === 'reset'
  }

  opensSoon(server: FleetServer, from = clientAddress): Promise<void> {
    return server.until(`${from} may use ssh`, () => this.opens(server, from))
  }

  closesSoon(server: FleetServer, from = clientAddress): Promise<void> {
    return server.until(`${from} may not use ssh`, async () => !(await this.opens(server, from)))
  }
}
