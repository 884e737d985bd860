/** Flags of `pkctl knock` and `pkctl connect` that say how to knock. */
export interface FamilyFlags {
  readonly 4?: boolean
  readonly 6?: boolean
}

export interface KnockFlags extends FamilyFlags {
  readonly tag?: string
  readonly keyFile?: string
  readonly keyEnv?: string
  readonly port?: string
  readonly udp?: boolean
  readonly delay?: string
  readonly answerTime?: string
  readonly onBehalfOf?: string
}
