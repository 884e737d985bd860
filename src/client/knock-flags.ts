/** Flags of `pkctl knock` and `pkctl connect` that say how to knock. */
/** Those about the way there, which an opening and a closing knock have in common. */
export interface AddressFlags {
  readonly 4?: boolean
  readonly 6?: boolean
  /** An address of this machine, or an interface. */
  readonly source?: string
}

export interface KnockFlags extends AddressFlags {
  readonly identity?: string
  readonly sshKey?: string
  readonly service?: readonly string[]
  readonly window?: string
  /** Bits of the source. */
  readonly prefix?: string
  /** An address that is to be granted as well. */
  readonly also?: string
  readonly tag?: string
  readonly keyFile?: string
  readonly keyEnv?: string
  readonly port?: string
  readonly udp?: boolean
  readonly delay?: string
  readonly answerTime?: string
  readonly onBehalfOf?: string
}
