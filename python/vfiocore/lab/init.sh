#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# The guest's first process: mount the host's root read-only under a tmpfs, then run the script
# that the host sends over the control port. The kernel's command line says "vfiocore.probe" when
# the host only wants to know whether this boots at all.
PATH=/bin
busybox mount -t proc proc /proc
read -r cmdline < /proc/cmdline
case "$cmdline" in
*vfiocore.probe*)
    echo "vfiocore: probe booted" > /dev/console
    busybox reboot -f ;;
esac

die() {
    echo "vfiocore: init: $*" > /dev/console
    busybox reboot -f
}

while read -r module options; do
    busybox insmod "/modules/$module" $options || die "cannot load $module"
done < /modules/order

mount9p() { # tag, directory, options
    busybox mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,access=any,$3" "$1" "$2" ||
        die "cannot mount the host's $1 on $2"
}

mount9p root /lower ro,cache=loose
busybox mount -t tmpfs -o mode=755 tmpfs /upper || die "cannot mount tmpfs"
busybox mkdir /upper/changes /upper/work
busybox mount -t overlay -o lowerdir=/lower,upperdir=/upper/changes,workdir=/upper/work \
    overlay /root || die "cannot mount the overlay"

busybox mkdir -p /root/proc /root/sys /root/dev /root/run /root/tmp
busybox mount --move /proc /root/proc
busybox mount -t sysfs sysfs /root/sys
busybox mount -t debugfs debugfs /root/sys/kernel/debug
busybox mount -t devtmpfs devtmpfs /root/dev || die "cannot mount devtmpfs"
busybox mkdir -p /root/dev/pts /root/dev/shm
busybox mount -t devpts -o mode=620,ptmxmode=666 devpts /root/dev/pts
busybox mount -t tmpfs -o mode=1777 tmpfs /root/dev/shm
busybox mount -t tmpfs -o mode=755 tmpfs /root/run
busybox ln -sf /proc/self/fd /root/dev/fd
busybox ln -sf /proc/self/fd/0 /root/dev/stdin
busybox ln -sf /proc/self/fd/1 /root/dev/stdout
busybox ln -sf /proc/self/fd/2 /root/dev/stderr

busybox mkdir -p /root/run/vfiocore/bin /root/run/vfiocore/lower
busybox mount --bind /lower /root/run/vfiocore/lower
busybox cp /bin/busybox /root/run/vfiocore/bin/busybox
for name in sh insmod modprobe rmmod lsmod dmesg ip mount umount; do
    busybox ln -s busybox "/root/run/vfiocore/bin/$name"
done
echo /run/vfiocore/bin/modprobe > /root/proc/sys/kernel/modprobe
busybox hostname lab
busybox ip link set lo up

# The number in /dev/vportNp3 depends on the machine's other devices: go by the ports' names.
busybox mkdir /root/dev/vfiocore
link_ports() {
    for port in /root/sys/class/virtio-ports/*; do
        read -r name < "$port/name" || continue
        case "$name" in
        vfiocore.*) busybox ln -sf "../${port##*/}" "/root/dev/vfiocore/${name#vfiocore.}" ;;
        esac
    done
}
control=/root/dev/vfiocore/control
tries=0
until [ -e /root/dev/vfiocore/monitor ] && [ -c "$control" ]; do # added from a work queue
    tries=$((tries + 1))
    [ $tries -le 500 ] || die "no control port"
    busybox usleep 10000
    link_ports 2> /dev/null
done
exec 3<> "$control"
echo ready >&3
read -r length <&3 || die "no script from the host"
busybox head -c "$length" <&3 > /root/run/vfiocore/script
exec busybox switch_root /root /run/vfiocore/bin/sh /run/vfiocore/script
