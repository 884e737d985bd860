/** The log, as the controller sees it. Fields have the same facts as the message, for programs. */
export interface Log {
  error(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  debug(message: string, fields?: LogFields): void
}

export type LogLevel = keyof Log
export type LogFields = Readonly<Record<string, string | number | boolean | null | readonly string[]>>
