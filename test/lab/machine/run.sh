#!/bin/bash
# Runs JOB/run inside the machine that build.sh made, without KVM. RESULT gets stdout, stderr, rc, dmesg and console.
#
#   run.sh MACHINE JOB RESULT SECONDS QEMU...
#
# Exit status: that of the job, 124 when it took too long, 126 when the machine gave no result.
set -euo pipefail
machine=$(realpath "$1") job=$2 result=$3 seconds=$4
shift 4
disks=$(mktemp -d)
trap 'rm -rf "$disks"' EXIT
rm -rf "$result"
mkdir -p "$result"
tar -C "$job" -cf "$disks/job.tar" .
truncate -s 64M "$disks/out.tar"
drive() { printf -- '-drive file=%s,format=raw,if=none,id=%s%s -device virtio-blk-pci,drive=%s ' "$2" "$1" "$3" "$1"; }
# shellcheck disable=SC2046 # one word for each option is what is wanted
setpriv --pdeathsig TERM timeout -k 5 "$((seconds + 20))" "$@" -M q35 -cpu max,-cx16,-smap,-la57,-pku -accel tcg,thread=multi,tb-size=1024 -smp 2 -m 2048 \
  -nodefaults -no-user-config -display none -no-reboot -serial "file:$result/console" \
  -kernel "$machine/vmlinuz" -initrd "$machine/initrd.cpio" \
  -append "console=ttyS0 quiet panic=-1 random.trust_cpu=on mitigations=off lab.init=/usr/sbin/job-init lab.timeout=$seconds" \
  $(drive root "$machine/root.ext4" ,snapshot=on) $(drive job "$disks/job.tar" ,readonly=on) \
  $(drive out "$disks/out.tar" ,cache=unsafe) -device virtio-rng-pci </dev/null || true
tar -C "$result" -xf "$disks/out.tar" 2>/dev/null || true
if [ ! -f "$result/rc" ]; then
  echo 'the machine gave no result; its console said:' >&2
  tail -n 30 "$result/console" >&2
  exit 126
fi
exit "$(cat "$result/rc")"
