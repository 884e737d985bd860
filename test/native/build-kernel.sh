#!/usr/bin/env bash
# Builds the user-mode Linux kernel of the native tests and the lab from Debian's kernel source, and prints where it is. It takes about
# five minutes on two cores, once: the result is kept in ~/.cache/pkctl (or XDG_CACHE_HOME) until this script, kernel-options
# or kernel.patch changes, and is found there without the network. Several may run at once: one builds, the others wait.
#
#   build-kernel.sh [--cached]     with --cached, prints nothing and fails when it would have to build
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/test/native
# Older ones lack what the tests need, or panic on some processors. The newest is taken when this one is gone.
sources=(linux-source-7.2 'linux-source-[0-9]*')
suite=trixie-backports
packages=(build-essential patch bc flex bison xz-utils libelf-dev)

key=$(cat "$here/build-kernel.sh" "$here/kernel-options" "$here/kernel.patch" | sha256sum | cut -c 1-16)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pkctl/native-kernel
kernel=$cache/$key/linux
if [ ! -x "$kernel" ]; then
  [ "${1:-}" != --cached ] || exit 1
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock 9
fi
if [ -x "$kernel" ]; then
  echo "$kernel"
  exit
fi

work=$cache/work
log=$cache/build.log
fail() {
  echo "native kernel: $1; see $log" >&2
  exit 1
}
trap 'rm -rf "$work"' EXIT
rm -rf "$work"
mkdir "$work"
: >"$log"
echo "native kernel: building it, once; this takes about five minutes" >&2
. scripts/prepare.sh "${packages[@]}" >&2
for source in "${sources[@]}"; do
  if package=$(scripts/fetch-debian.sh $suite "$work" "$source" 9>&- 2>>"$log"); then break; fi
done
[ -n "$package" ] || fail "cannot fetch Debian's kernel source"

# Not behind ||, where set -e would have no effect.
set +e
(
  exec 9>&-
  set -e
  cd "$work"
  dpkg-deb --fsys-tarfile "$package" | tar -xf - ./usr/src
  rm "$package"
  mkdir tree
  tar -xf usr/src/linux-source-*.tar.xz -C tree --strip-components=1
  rm -r usr
  patch -d tree -p1 <"$here/kernel.patch"
  {
    grep -v '^#' "$here/kernel-options" | tr -s ' ' '\n' | sed 's/.*/CONFIG_&=y/'
    echo '# CONFIG_RTC_CLASS is not set'
  } >options
  export KBUILD_BUILD_USER=pkctl KBUILD_BUILD_HOST=native
  cd tree
  make -s ARCH=um tinyconfig
  scripts/kconfig/merge_config.sh -m .config ../options
  make -s ARCH=um olddefconfig
  make -s ARCH=um -j"$(nproc)" linux
  strip -o ../linux linux
  cp .config ../config
) >>"$log" 2>&1 </dev/null
status=$?
set -e
[ $status = 0 ] || fail "the build failed: $(grep -m 1 -iE 'error|cannot|no space' "$log" || tail -n 1 "$log")"

# What the options ask for and the source no longer knows would be missed by a test later, and less clearly.
for option in INET NF_TABLES_INET NFT_QUEUE NETFILTER_NETLINK_QUEUE HOSTFS TMPFS VETH SECCOMP \
  UML_NET_VECTOR BLK_DEV_UBD SECURITY_APPARMOR NFT_COMPAT CGROUP_BPF; do
  grep -q "^CONFIG_$option=y" "$work/config" || fail "the source has no option $option"
done
mkdir "$work/result"
mv "$work/linux" "$work/config" "$work/result"
rm -rf "${cache:?}/$key"
mv "$work/result" "$cache/$key"
# One is enough.
find "$cache" -mindepth 1 -maxdepth 1 -type d ! -name "$key" ! -name work -exec rm -rf {} +
echo "$kernel"
