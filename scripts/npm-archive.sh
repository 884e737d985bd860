# Fetches the archive of an npm package into the cache of this user, once, and verifies it each time. Sourced.

# Prints the file. INTEGRITY is what package-lock.json calls so: https://www.w3.org/TR/SRI/, with SHA-512.
npm_archive() { # NAME VERSION INTEGRITY
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/pkctl/npm
  local archive=${1#@}
  archive=$cache/${archive//\//-}-$2.tgz
  mkdir -p "$cache"
  # Builds may run beside each other. What is followed by || is not ended by errexit, so each command is looked at.
  (
    flock 9 || exit
    # Where a fetch failed, a version before made a folder of that name.
    if [ -d "$archive" ]; then rm -r "$archive" || exit; fi
    if [ ! -f "$archive" ]; then
      folder=$(mktemp -d -p "$cache") || exit
      if fetched=$(npm pack --silent --ignore-scripts --pack-destination "$folder" "$1@$2") && [ -f "$folder/$fetched" ]; then
        mv "$folder/$fetched" "$archive" && rmdir "$folder"
      else
        echo "package: npm cannot fetch $1@$2" >&2
        rm -r "$folder"
        exit 1
      fi
    fi
  ) 9>"$cache/lock" || return
  if [ "$3" != "sha512-$(node -p '
    crypto.createHash("sha512").update(fs.readFileSync(process.argv[1])).digest("base64")' "$archive")" ]; then
    rm "$archive"
    echo "package: $1@$2 is not what its checksum says" >&2
    return 1
  fi
  echo "$archive"
}
