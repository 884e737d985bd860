# Installs what is missing on a Debian machine with Node: sourced with the packages wanted as arguments.
# Debian's packages need root; npm's are those of package-lock.json. One at a time for each user, so that scripts may run
# beside each other.
set -euo pipefail
prepare() {
  local missing=() package
  for package; do
    dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" != 0 ]; then
      echo "missing packages: ${missing[*]}; run this as root, or apt-get install them" >&2
      return 1
    fi
    echo "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    local install=(apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=600)
    # A list of packages that is there may do; else it is fetched, once.
    "${install[@]}" "${missing[@]}" >/dev/null 2>&1 ||
      { apt-get update -qq && "${install[@]}" "${missing[@]}" >/dev/null; } || return
  fi
  if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    npm ci --no-audit --no-fund --loglevel=error
  fi
}
mkdir -p "${XDG_CACHE_HOME:-$HOME/.cache}/pkctl"
exec 8>"${XDG_CACHE_HOME:-$HOME/.cache}/pkctl/prepare.lock"
flock 8
prepare "$@" 8>&- 9>&-
exec 8>&-
# Node.js reads these certificates at each start, which takes it twice as long as the start itself. Only npm asks other machines.
if [ -n "${NODE_EXTRA_CA_CERTS:-}" ]; then
  export npm_config_cafile=${npm_config_cafile:-$NODE_EXTRA_CA_CERTS}
  unset NODE_EXTRA_CA_CERTS
fi
