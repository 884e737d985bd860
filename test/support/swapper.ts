/** A program that swaps a file, again and again, for what a user may put in its place. */
import * as fs from 'node:fs'
import path from 'node:path'
import type { Background } from './commands.js'
import { Background as Program } from './commands.js'

/** What stands in a file of the user, and in those of others; and whose these are. */
interface Swapped {
  readonly file: string
  readonly own: string
  readonly foreign: string
  readonly owner: number
  readonly other: number
  /** Whether the file of another user is one of them, and not only links to it. */
  readonly withOther: boolean
}

/** Perl, for it makes thousands in a second; it ends with its parent, or after so many. */
const script = `
use POSIX; my ($file, $own, $foreign, $owner, $other, $kinds) = @ARGV; $| = 1;
sub put { my ($text, $uid) = @_; open(my $f, '>', "$file.new"); print $f $text; close $f; chmod 0600, "$file.new"; chown $uid, $uid, "$file.new" }
my $secret = "$file.secret"; put($foreign, $other); rename "$file.new", $secret;
print "swapping\\n";
for (my $i = 0; $i < 500000 && getppid() != 1; $i++) {
  my $kind = $i % $kinds; unlink "$file.new";
  if ($kind == 0) { put($own, $owner) }
  elsif ($kind == 1) { symlink $secret, "$file.new" }
  elsif ($kind == 2) { POSIX::mkfifo("$file.new", 0600); chown $owner, $owner, "$file.new" }
  elsif ($kind == 3) { link $secret, "$file.new" }
  else { put($foreign, $other) }
  rename "$file.new", $file;
}
`

/** Resolves when it has begun. The file's directory is there, and belongs to its owner. */
export async function startSwapping({ file, own, foreign, owner, other, withOther }: Swapped): Promise<Background> {
  fs.chownSync(path.dirname(file), owner, owner)
  const program = new Program([
    'perl',
    '-e',
    script,
    file,
    own,
    foreign,
    String(owner),
    String(other),
    withOther ? '5' : '4',
  ])
  await program.says(/swapping/)
  return program
}
