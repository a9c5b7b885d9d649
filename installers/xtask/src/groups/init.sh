#!/bin/busybox sh
# The first program of the virtual machine, while nothing but its memory is there. Takes this
# machine's files as its own, read-only, and goes on with them.
export PATH=/bin
busybox mount -t proc proc /proc
for module in /modules/*.ko; do
    busybox insmod "$module" || echo "$module was not loaded"
done
options=trans=virtio,version=9p2000.L,cache=loose,msize=524288,ro
busybox mount -t 9p -o "$options" host /host || echo "the files of the host were not mounted"
busybox ip link set lo up
busybox umount /proc
exec busybox switch_root /host /bin/sh "$(busybox cat /inside)"
