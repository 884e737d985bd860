# Puts OpenSSH's own software token for FIDO keys, of Debian's package openssh-tests, into the cache, where
# test/support/openssh.ts looks for it. The package itself is not installed: it needs a dozen others. Sourced; without a
# network the tests with a token are skipped, and say so.
fetch_token() {
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/pkctl folder
  [ ! -f "$cache/sk-dummy.so" ] || return 0
  folder=$(mktemp -d) || return
  (
    cd "$folder" && chmod 755 . && apt-get download openssh-tests &&
      dpkg-deb --fsys-tarfile openssh-tests_*.deb |
      tar -x --to-stdout ./usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so >token &&
      mv token "$cache/sk-dummy.so"
  ) >/dev/null 2>&1 || echo "openssh-tests cannot be downloaded: the tests with a software token are skipped"
  rm -rf "$folder"
}
fetch_token
