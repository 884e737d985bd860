#!/bin/bash
# Builds a machine around Debian's own kernel, to be run by QEMU without KVM: OUT/vmlinuz, OUT/initrd.cpio, OUT/root.ext4.
# It can be booted in two ways: with systemd, as a server or client (support/machines.ts), and with lab.init=/usr/sbin/job-init,
# which runs one job and ends (run.sh). About a minute and 700 MB; needs root, and Debian on amd64.
#
#   build.sh OUT [SUITE]
#
# SUITE is a release of Debian, such as trixie; without it, the one that this machine has.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "$1")
work=$out/work
root=$work/root
rm -rf "$out"
mkdir -p "$work"

suite=${2:-$(. /etc/os-release && echo "$VERSION_CODENAME")}
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
system=systemd-sysv,udev,dbus,kmod,procps,util-linux,iproute2,iputils-ping,netbase,libstdc++6,openssh-server,openssh-client
system+=,qemu-guest-agent
firewalls=nftables,iptables,libnetfilter-queue1,conntrack,ufw,firewalld,apparmor
senders=knockd,nmap,hping3,python3-scapy,faketime,socat,netcat-openbsd
# What Ansible and packages need.
system+=,python3-minimal,python3-apt,sudo,adduser,rpm

# The node that runs the tests, where Debian's own is too old.
[ "$suite" = bookworm ] || system+=,nodejs

# The kernel's package alone, without what installing it would bring.
cat >"$work/fetch-kernel" <<'EOF'
#!/bin/sh
set -e
kernel=$(chroot "$1" apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
chroot "$1" sh -c "cd /var/tmp && apt-get -qq download $kernel" 2>/dev/null
EOF
chmod 755 "$work/fetch-kernel"

mmdebstrap --quiet --mode=root --variant=minbase --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
  --aptopt='APT::Install-Recommends "false"' --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --customize-hook="$work/fetch-kernel" \
  --include="$system,$firewalls,$senders" "$suite" "$root" "$mirror"
[ -e "$root/usr/bin/node" ] || install -m755 "$(readlink -f "$(command -v node)")" "$root/usr/bin/node"

# The kernel, its network modules and what a virtual machine needs; it loads them by itself, by modules.dep.
mv "$root"/var/tmp/linux-image-*.deb "$work/kernel.deb"
dpkg-deb -x "$work/kernel.deb" "$work/kernel"
[ -d "$work/kernel/lib/modules" ] || ln -s usr/lib "$work/kernel/lib"
version=$(ls "$work/kernel/lib/modules")
cp "$work/kernel/boot/vmlinuz-$version" "$out/vmlinuz"
find "$work/kernel/" -name '*.ko.xz' -exec unxz {} +
modules=$root/usr/lib/modules/$version
mkdir -p "$modules"
# Some are in the kernel itself, in one release or the other.
cd "$work/kernel/lib/modules/$version"
for part in modules.{builtin,builtin.modinfo,order} kernel/{net,lib,crypto,arch/x86/crypto,fs/autofs} \
  kernel/drivers/{virtio,char/hw_random,char/virtio_console.ko,block/virtio_blk.ko} \
  kernel/drivers/net/{veth,dummy,virtio_net,net_failover}.ko; do
  [ ! -e "$part" ] || cp -r --parents "$part" "$modules/"
done
cd "$OLDPWD"
depmod -b "$root" "$version"

: >"$root/etc/fstab"
: >"$root/etc/machine-id"
echo lab >"$root/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost\n10.66.0.1 server\nfd66::1 server\n10.66.0.2 client\nfd66::2 client\n' >"$root/etc/hosts"
# The client has a second address of each family, so that it can be a stranger to itself; it uses it when told to.
network=$root/etc/systemd/network
lan() {
  printf '[Match]\nName=eth0 vec0\nHost=%s\n[Network]\nIPv6AcceptRA=no\nAddress=10.66.0.%s/24\nAddress=fd66::%s/64\n' "$1" "$2" "$2"
}
lan server 1 >"$network/lan-server.network"
lan client 2 >"$network/lan-client.network"
printf '[Address]\nAddress=%s\nPreferredLifetime=0\n' 10.66.0.3/24 fd66::3/64 >>"$network/lan-client.network"

# ssh from one machine to the other, and a root that needs no password on the console.
rm -f "$root"/etc/ssh/ssh_host_*
ssh-keygen -q -t ed25519 -N '' -C lab -f "$root/etc/ssh/ssh_host_ed25519_key"
install -d -m700 "$root/root/.ssh"
ssh-keygen -q -t ed25519 -N '' -C lab -f "$root/root/.ssh/id_ed25519"
cp "$root/root/.ssh/id_ed25519.pub" "$root/root/.ssh/authorized_keys"
key=$(cut -d' ' -f1,2 "$root/etc/ssh/ssh_host_ed25519_key.pub")
echo "server,10.66.0.1,fd66::1 $key" >"$root/root/.ssh/known_hosts"
printf 'HostKey /etc/ssh/ssh_host_ed25519_key\nUseDNS no\nUsePAM no\n' >"$root/etc/ssh/sshd_config.d/lab.conf"
mkdir -p "$root/etc/systemd/system/serial-getty@ttyS0.service.d" "$root/etc/systemd/journald.conf.d"
printf '[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin root --noclear %%I 115200 xterm-256color\n' \
  >"$root/etc/systemd/system/serial-getty@ttyS0.service.d/login.conf"
printf '[Journal]\nStorage=persistent\n' >"$root/etc/systemd/journald.conf.d/lab.conf"

chroot "$root" systemctl -q enable systemd-networkd.service ssh.service serial-getty@ttyS0.service
chroot "$root" systemctl -q disable ufw.service firewalld.service nftables.service knockd.service
chroot "$root" systemctl -q mask systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer \
  e2scrub_all.timer e2scrub_reap.service fstrim.timer dpkg-db-backup.timer getty@tty1.service systemd-binfmt.service \
  proc-sys-fs-binfmt_misc.automount
# Without QEMU, the agent is at a serial line: see support/user-mode.ts, which asks for this unit.
cat >"$root/etc/systemd/system/lab-agent.service" <<'EOF'
[Unit]
Description=Guest agent at a serial line
DefaultDependencies=no
After=systemd-remount-fs.service
[Service]
ExecStart=/usr/sbin/qemu-ga --method=isa-serial --path=/dev/ttyS1 --statedir=/run
Restart=always
RestartSec=1
EOF
install -m755 "$here/job-init" "$root/usr/sbin/job-init"
mkdir -p "$root"/{job,out}
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
truncate -s 2G "$out/root.ext4"
mke2fs -q -t ext4 -d "$root" -O '^metadata_csum' "$out/root.ext4"

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
cd /m; for m in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk; do [ ! -e $m.ko ] || $b insmod $m.ko; done
$b mount -t ext4 -o rw,noatime /dev/vda /new
init=/sbin/init
for w in $($b cat /proc/cmdline); do case $w in lab.init=*) init=${w#*=} ;; esac; done
for d in dev proc sys; do $b mount --move /$d /new/$d; done
exec $b switch_root /new $init
EOF
chmod 755 "$initrd/init"
(cd "$initrd" && find . | cpio -o -H newc --quiet -R 0:0) >"$out/initrd.cpio"
rm -rf "$work"
