# Puts prometheus and promtool of Debian's package into the cache, where test/integration/monitoring.test.ts looks for them. The
# package itself is not installed: it would start a server on this machine. Sourced; without a network the tests with Prometheus
# are skipped, and say so.
fetch_prometheus() {
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/pkctl folder
  [ ! -x "$cache/prometheus/promtool" ] || return 0
  folder=$(mktemp -d) || return
  (
    cd "$folder" && chmod 755 . && apt-get download prometheus && dpkg-deb -x prometheus_*.deb tree &&
      rm -rf "$cache/prometheus.new" "$cache/prometheus" && mv tree/usr/bin "$cache/prometheus.new" &&
      mv "$cache/prometheus.new" "$cache/prometheus"
  ) >/dev/null 2>&1 || echo "prometheus cannot be downloaded: the tests with Prometheus are skipped"
  rm -rf "$folder"
}
fetch_prometheus
