/** The socket by which a self-test knocks, as the controller sees it. */

export interface LoopbackSocket {
  readonly port: number
  /** Sends a datagram to the own address. Rejects with an error of the system. */
  readonly send: (payload: Uint8Array, port: number) => Promise<void>
  close(): void
}

/** Opens one that is bound to the address. `onMessage` gets what is sent to it. Rejects with an error of the system. */
export type OpenLoopback = (address: string, onMessage: (payload: Uint8Array) => void) => Promise<LoopbackSocket>

const reasons: Readonly<Record<string, string>> = {
  EAFNOSUPPORT: 'pkctld may not use IPv4: RestrictAddressFamilies of its unit, or AppArmor, forbids it',
  EACCES: 'pkctld may not use IPv4: AppArmor, or another program, forbids it',
  EADDRNOTAVAIL: 'the loopback interface is down, or has no addresses',
  ENETUNREACH: 'the loopback interface is down, or has no addresses',
  EINVAL: 'the loopback interface is down, or has no addresses',
  EPERM: 'a rule of this machine, or IPAddressDeny of the unit, refuses what pkctld sends by the loopback interface',
}

/** Why a test cannot be made. */
export function reasonNotPossible(error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException
  return reasons[code] ?? message
}
