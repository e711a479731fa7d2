#!/bin/busybox sh
# Process 1 of a lab guest: mounts what a swap experiment needs, runs /etc/guest/command with its output on the
# virtio port "output", and marks its beginning and its end there (read by xtask's guest/channel.rs).
# Its own complaints go to the kernel console.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
/bin/busybox --install -s /bin

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs run /run
mount -t tmpfs var /var
mkdir -p /run/lock /var/lib /var/log /var/tmp
mount -t bpf bpf /sys/fs/bpf
mount -t debugfs debug /sys/kernel/debug
mount -t tracefs trace /sys/kernel/tracing
mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
for controller in memory io cpu pids; do
    echo "+$controller" > /sys/fs/cgroup/cgroup.subtree_control
done
ln -sf /proc/self/fd /dev/fd
ln -sf /proc/self/mounts /etc/mtab
hostname guest
ifconfig lo 127.0.0.1 up

# Built in on newer kernels, modules on 6.1. A disk is there when modprobe returns; a port comes a little later.
for module in virtio_pci virtio_console virtio_blk; do
    modprobe "$module" 2> /dev/null
done
output=
tries=0
while [ -z "$output" ] && [ "$tries" -lt 100 ]; do
    for port in /sys/class/virtio-ports/*; do
        if [ "$(cat "$port/name" 2> /dev/null)" = output ]; then
            output=/dev/${port##*/}
        fi
    done
    [ -n "$output" ] || sleep 0.1
    tries=$((tries + 1))
done
if [ -z "$output" ]; then
    echo "guest: the port named output is missing" > /dev/console
    poweroff -f
fi
exec 3> "$output"
printf '\000swaptier init\n' >&3

cd /root
setsid sh /etc/guest/command < /dev/null >&3 2>&3
code=$?
printf '\000swaptier exit %d\n' "$code" >&3

# xtask ends the machine as soon as it has read the mark. This is for the case that it cannot.
sleep 30
poweroff -f
