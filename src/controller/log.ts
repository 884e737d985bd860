/** Where the daemon's sentences go. Fields carry the same facts for machines. */
export interface Log {
  error(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  debug(message: string, fields?: LogFields): void
}

export type LogLevel = keyof Log
export type LogFields = Readonly<Record<string, string | number | boolean | null | readonly string[]>>
