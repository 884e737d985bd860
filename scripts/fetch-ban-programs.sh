# Puts fail2ban and crowdsec of Debian's packages into the cache, where test/integration/bans.test.ts looks for them. The packages
# themselves are not installed: they would start services on this machine. Sourced; without a network the tests with them are
# skipped, and say so.
fetch_ban_programs() {
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/pkctl folder name
  for name in fail2ban crowdsec; do
    [ ! -d "$cache/$name" ] || continue
    folder=$(mktemp -d) || return
    (
      cd "$folder" && chmod 755 . && apt-get download "$name" && dpkg-deb -x "${name}"_*.deb tree &&
        rm -rf "$cache/$name.new" && mv tree "$cache/$name.new" && mv -T "$cache/$name.new" "$cache/$name"
    ) >/dev/null 2>&1 || echo "$name cannot be downloaded: the tests with it are skipped"
    rm -rf "$folder"
  done
}
fetch_ban_programs
