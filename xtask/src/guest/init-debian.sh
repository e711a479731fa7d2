#!/bin/busybox sh
# Process 1 of a guest that boots an installed system: finds that system's disk, copies in what the lab brings (modules,
# programs, the unit that runs the command), and hands over to its init. Run again at each boot.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
/bin/busybox --install -s /bin

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in virtio_pci virtio_console virtio_blk ext4; do
    modprobe "$module" 2> /dev/null
done

fail() {
    echo "guest: $1" > /dev/console
    poweroff -f
}

root=
tries=0
while [ -z "$root" ] && [ "$tries" -lt 100 ]; do
    for disk in /sys/block/vd*; do
        if [ "$(cat "$disk/serial" 2> /dev/null)" = root ]; then
            root=/dev/${disk##*/}
        fi
    done
    [ -n "$root" ] || sleep 0.1
    tries=$((tries + 1))
done
[ -n "$root" ] || fail "the disk with the serial number root is missing"
mkdir /host
mount -t ext4 "$root" /host || fail "the root file system cannot be mounted"

release=$(uname -r)
if [ ! -d "/host/usr/lib/modules/$release" ]; then
    mkdir -p /host/usr/lib/modules
    cp -a "/lib/modules/$release" /host/usr/lib/modules/
    chroot /host depmod "$release" 2> /dev/null
fi
# Whatever the system has changed of it since stays: only the first boot brings it.
if [ ! -e /host/etc/guest ]; then
    cp -a /lab/. /host/
    mkdir -p /host/etc/systemd/system/multi-user.target.wants
    ln -s ../lab.service /host/etc/systemd/system/multi-user.target.wants/lab.service
    echo guest > /host/etc/hostname
    mkdir -p /host/var/log/journal
    # Nobody logs in here, and the image is as its packages left it: nothing is to be made anew at the first boot.
    ln -s /dev/null /host/etc/systemd/system/getty.target
    touch /host/etc/.updated /host/var/.updated
    # The word of who made the image that no package may start, stop or restart a service.
    rm -f /host/usr/sbin/policy-rc.d
fi

# The mark that a boot has come so far; what the command says follows through the same port.
for port in /sys/class/virtio-ports/*; do
    if [ "$(cat "$port/name" 2> /dev/null)" = output ]; then
        printf '\000swaptier init\n' > "/dev/${port##*/}"
    fi
done
umount /proc /sys /dev
exec switch_root /host /sbin/init
