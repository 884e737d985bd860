#!/bin/bash
# Builds a small machine around Debian's own kernel, to run the tests where nft has its `queue` statement:
# OUT/vmlinuz, OUT/initrd.cpio, OUT/root.ext4. Some 20 seconds and 250 MB; needs root, and Debian on amd64.
#
#   build.sh OUT
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "$1")
work=$out/work
root=$work/root
rm -rf "$out"
mkdir -p "$work"

suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
kernel=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
version=${kernel#linux-image-}
packages=nftables,iptables,libnetfilter-queue1,iproute2,kmod,mount,util-linux,procps,libstdc++6,socat
packages+=,dash,bash,coreutils,grep,sed,mawk,findutils,libc-bin,tar,gzip,base-files,bsdutils

# Only unpacked, no maintainer script is run: what those would have done is done below.
mmdebstrap --quiet --mode=root --variant=extract --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
  --dpkgopt='path-exclude=/usr/share/doc/*' --include="$packages" "$suite" "$root" "$mirror"
ln -sf bash "$root/usr/bin/sh"
ln -sf mawk "$root/usr/bin/awk"
# update-alternatives is a maintainer script's business too
ln -sf xtables-nft-multi "$root/usr/sbin/iptables"
printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
printf '127.0.0.1 localhost lab\n::1 localhost\n' >"$root/etc/hosts"

# The kernel, its network modules and what a virtual machine needs; it loads them by itself, by modules.dep.
(cd "$work" && apt-get -qq download "$kernel" 2>/dev/null)
dpkg-deb -x "$work/$kernel"_*.deb "$work/kernel"
cp "$work/kernel/boot/vmlinuz-$version" "$out/vmlinuz"
modules=$root/usr/lib/modules/$version
mkdir -p "$modules"
(cd "$work/kernel/lib/modules/$version" && cp -r --parents modules.builtin modules.builtin.modinfo modules.order \
  kernel/net kernel/lib kernel/crypto kernel/arch/x86/crypto kernel/drivers/virtio kernel/drivers/char/hw_random \
  kernel/drivers/block/virtio_blk.ko kernel/drivers/net/{veth,dummy,virtio_net,net_failover}.ko "$modules/")
depmod -b "$root" "$version"

install -m755 "$(readlink -f "$(command -v node)")" "$root/usr/bin/node"
install -m755 "$here/init" "$root/usr/sbin/lab-init"
mkdir -p "$root"/{job,out,proc,sys,dev,tmp,run,root}
rm -rf "$root"/usr/share/{man,locale,info,doc,perl*} "$root"/var/lib/{apt,dpkg} "$root"/var/cache/apt
truncate -s 512M "$out/root.ext4"
mke2fs -q -t ext4 -d "$root" -O '^has_journal,^metadata_csum' "$out/root.ext4"

# An initial ram disk that only mounts the root.
initrd=$work/initrd
mkdir -p "$initrd"/{bin,dev,proc,sys,m,new}
cp "$(command -v busybox)" "$initrd/bin/"
ln -s busybox "$initrd/bin/sh"
for module in virtio virtio_ring virtio_pci virtio_pci_modern_dev virtio_pci_legacy_dev virtio_blk; do
  find "$work/kernel" -name "$module.ko" -exec cp {} "$initrd/m/" \;
done
cat >"$initrd/init" <<'EOF'
#!/bin/sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev; $b mount -t proc proc /proc; $b mount -t sysfs sys /sys
cd /m; for m in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk; do $b insmod $m.ko; done
$b mount -t ext4 -o rw,noatime /dev/vda /new
for d in dev proc sys; do $b mount --move /$d /new/$d; done
exec $b switch_root /new /usr/sbin/lab-init
EOF
chmod 755 "$initrd/init"
(cd "$initrd" && find . | cpio -o -H newc --quiet -R 0:0) >"$out/initrd.cpio"
rm -rf "$work"
