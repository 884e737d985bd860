#!/usr/bin/env bash
# The tests that need whole machines, emulated or in user mode: boot, reboot, other firewalls, packages, Ansible, AppArmor. See
# docs/lab.md. Arguments: parts of file names in test/lab, to run only those. Ends with a line "N passed, M failed".
cd "$(dirname "$0")/.."
. scripts/prepare.sh nftables iproute2 socat openssh-client xz-utils rpm lintian piuparts apt-utils gnupg \
  qemu-system-x86 qemu-utils mmdebstrap cpio e2fsprogs busybox-static kmod ansible-core vagrant vagrant-libvirt \
  python3-configobj python3-jinja2 python3-jsonpatch python3-jsonschema python3-netifaces \
  python3-oauthlib python3-requests python3-serial python3-yaml

[ -n "${PKCTL_TEST_BUILT:-}" ] || npm run --silent build || {
  echo 'types failed'
  echo '0 passed, 1 failed'
  exit 1
}
words=("$@")
if [ $# = 0 ]; then
  # The longest first: as many run at once as there are processors.
  words=(system native administration provisioning packages templates)
  # Not in the time of a test. Where there is none, the tests that need it say why.
  test/native/build-kernel.sh >/dev/null || true
fi
exec node scripts/run-tests.js "${words[@]/#/lab/}"
