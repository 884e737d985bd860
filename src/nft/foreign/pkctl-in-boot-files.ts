/**
 * Whether one of the files that nftables.service loads has pkctl's table in it, as after `nft list ruleset >/etc/nftables.conf`.
 * While the table has an owner, the kernel refuses such a file as a whole: the machine would have no firewall.
 */
import * as fs from 'node:fs'
import { isNftablesEnabled } from './nftables-service.js'
import type { SavedFiles } from './boot-files.js'
import { nftablesFiles, readSavedFiles } from './boot-files.js'
import { savedPart } from './saved-rules.js'

/** A file that could not be loaded while the table has an owner, or of which that is not known. */
export interface Obstacle {
  readonly path: string
  readonly why: 'has-table' | 'unreadable'
}

export class SavedRulesets {
  #files: SavedFiles = { texts: new Map(), directories: new Set() }
  #signature: string | undefined
  #isSettled = false
  #obstacles: readonly Obstacle[] = []

  constructor(
    /** The files to look at, as of now. */
    readonly from: () => readonly string[] = nftablesFiles,
    /** Whether the files are loaded at boot. */
    readonly isLoaded: () => boolean = isNftablesEnabled,
  ) {}

  /** The files of the last look, and where others may come. */
  get places(): readonly string[] {
    return [...this.#files.texts.keys(), ...this.#files.directories]
  }

  /**
   * The first such file. One that cannot be read, as on Fedora, counts only where it is loaded at boot: mostly firewalld is in its
   * place.
   */
  obstacle(): Obstacle | undefined {
    const obstacles = this.#read()
    return obstacles.find(({ why }) => why === 'has-table') ?? (this.isLoaded() ? obstacles[0] : undefined)
  }

  /** Reads the files only when one has changed: they may be long. */
  #read(): readonly Obstacle[] {
    const now = this.#sign()
    const isSame = now === this.#signature
    if (isSame && this.#isSettled) return this.#obstacles
    // The first time, what came while they were read may show in the signature only: so they are read once more.
    this.#isSettled = isSame
    this.#files = readSavedFiles(this.from())
    this.#obstacles = obstaclesIn(this.#files)
    this.#signature = isSame ? now : this.#sign()
    return this.#obstacles
  }

  /** What changes when a file changes, comes or goes. */
  #sign(): string {
    const { texts, directories } = this.#files
    return [...texts.keys(), ...this.from(), ...directories].map(stateOf).join('\n')
  }
}

function obstaclesIn({ texts }: SavedFiles): Obstacle[] {
  return [...texts].flatMap(([path, text]): Obstacle[] => {
    if (text === undefined) return [{ path, why: 'unreadable' }]
    return savedPart(text).mentionsTable ? [{ path, why: 'has-table' }] : []
  })
}

function stateOf(file: string): string {
  try {
    const { mtimeNs, ctimeNs, size, ino } = fs.statSync(file, { bigint: true })
    return `${file} ${mtimeNs} ${ctimeNs} ${size} ${ino}`
  } catch (error) {
    return `${file} ${(error as NodeJS.ErrnoException).code}`
  }
}
