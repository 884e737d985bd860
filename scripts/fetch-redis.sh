# Puts redis-server of Debian's package, with the libraries that it needs, into the cache, where test/support/engine.ts looks
# for it. The package is unpacked and not installed, so that no service of it starts. Sourced by test.sh.
fetch_redis() {
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/pkctl
  [ ! -x "$cache/redis/bin/redis-server" ] || return 0
  local folder="$cache/fetch-redis"
  rm -rf "$folder" && mkdir -p "$folder" && (
    cd "$folder" && chmod 755 . &&
      apt-get download redis-server redis-tools libjemalloc2 liblua5.1-0 liblzf1 libatomic1 lua-cjson lua-bitop &&
      for package in *.deb; do dpkg-deb -x "$package" tree || exit; done &&
      mkdir redis redis/bin redis/lib && cp -a tree/usr/bin/. redis/bin/ &&
      find tree/usr/lib tree/lib -name '*.so*' -exec cp -a -t redis/lib {} + 2>/dev/null
      rm -rf "$cache/redis" && mv redis "$cache/redis"
  ) >/dev/null 2>&1 || echo "redis-server cannot be downloaded: the tests of a fleet are skipped"
  rm -rf "$folder"
}
fetch_redis
