#!/usr/bin/env bash
# Fetches packages of another Debian suite than the machine's, such as trixie-backports, without installing them:
#
#   fetch-debian.sh SUITE FOLDER PACKAGE...
#
# They come from the mirror that the machine's own apt uses, by an apt configuration that is thrown away; apt checks the
# signature of the suite against Debian's keyring. A PACKAGE may be a pattern of apt-cache pkgnames, such as linux-source-*:
# the newest one that matches is taken. Prints the files.
set -euo pipefail
suite=$1
folder=$(realpath "$2")
shift 2
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
fail() {
  echo "fetch-debian: $1" >&2
  exit 1
}
[ -r $keyring ] || fail "there is no $keyring: install debian-archive-keyring"

# The archive of which the machine's own release is taken, as both forms of sources lists have it.
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
shopt -s nullglob
mirror=$(awk -v release="$codename" '
  function stanza(  i, n, word) {
    if (types ~ /(^| )deb( |$)/ && enabled !~ /^(no|false|off|0)/ && (" " suites " ") ~ (" " release " ")) {
      split(uris, word, " ")
      print word[1]
    }
    types = uris = suites = enabled = field = ""
  }
  FNR == 1 { stanza() }
  FILENAME ~ /\.list$/ {
    line = $0
    if (line !~ /^[ \t]*deb[ \t]/) next
    sub(/^[ \t]*deb[ \t]+(\[[^]]*\][ \t]+)?/, "", line)
    n = split(line, word, /[ \t]+/)
    if (n > 1 && word[2] == release) print word[1]
    next
  }
  /^[ \t]*$/ { stanza(); next }
  /^#/ { next }
  {
    value = $0
    if (value ~ /^[^ \t:]+:/) { field = tolower(value); sub(/:.*/, "", field); sub(/^[^:]*:[ \t]*/, "", value) }
    else sub(/^[ \t]+/, "", value)
    if (field == "types") types = types " " value
    else if (field == "uris") uris = uris " " value
    else if (field == "suites") suites = suites " " value
    else if (field == "enabled") enabled = tolower(value)
  }
  END { stanza() }
' /etc/apt/sources.list.d/*.sources $([ ! -f /etc/apt/sources.list ] || echo /etc/apt/sources.list) /etc/apt/sources.list.d/*.list |
  head -n 1)
[ -n "$mirror" ] || fail "apt's sources have no archive for ${codename:-this release}"

own=$(mktemp -d)
trap 'rm -rf "$own"' EXIT
mkdir -p "$own"/{lists/partial,cache/archives/partial,parts}
echo "deb [signed-by=$keyring] $mirror $suite main" >"$own/sources.list"
# Where root calls it, apt would read and write as a user of its own.
options=(-qq -o Dir::Etc::sourcelist="$own/sources.list" -o Dir::Etc::sourceparts="$own/parts" -o Dir::State::lists="$own/lists"
  -o Dir::Cache="$own/cache" -o Dir::State::status=/dev/null -o APT::Sandbox::User=root -o Acquire::Languages=none
  -o Acquire::Retries=3)
apt-get "${options[@]}" -o APT::Update::Error-Mode=any update >&2 || fail "cannot read the list of packages of $suite"
cd "$folder"
for package; do
  case $package in
  *'*'*)
    name=$(apt-cache "${options[@]}" pkgnames | while read -r name; do
      # shellcheck disable=SC2053 # it is a pattern
      [[ $name != $package ]] || echo "$name"
    done | sort -V | tail -n 1)
    [ -n "$name" ] || fail "$suite has no package $package"
    ;;
  *) name=$package ;;
  esac
  mkdir "$own/$name"
  (cd "$own/$name" && apt-get "${options[@]}" download "$name" >&2) || fail "cannot fetch $name of $suite"
  for file in "$own/$name"/*.deb; do
    mv "$file" .
    echo "$folder/${file##*/}"
  done
done
