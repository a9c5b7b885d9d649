# Process 1 of the virtual machine: mounts what a system has, lays control groups out as systemd does,
# runs the tests in them, and at last some as Yama can be set. Each run ends with a line that begins
# with `verdict`.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
for folder in /tmp /var/tmp; do mount -t tmpfs -o mode=1777 tmpfs "$folder"; done
for folder in /run /mnt; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup

# Where everybody reaches them. Their own folders may be closed to others.
for program in $PROGRAMS; do
    : >"/mnt/${program%%=*}"
    mount --bind "${program#*=}" "/mnt/${program%%=*}"
done
mkdir -m 1777 /mnt/worlds

cd /sys/fs/cgroup || exit
all='+memory +pids +cpu'
slice=user.slice/user-1000.slice
manager=$slice/user@1000.service
mkdir -p system.slice/test.service system.slice/other.service $slice/session-3.scope
mkdir -p $manager/app.slice/test.scope $manager/app.slice/other.scope
for group in . system.slice user.slice $slice $manager $manager/app.slice; do
    echo "$all" >"$group/cgroup.subtree_control"
done
# What systemd delegates to a user's own manager, and what that made below.
chown 1000:1000 $manager $manager/cgroup.procs $manager/cgroup.subtree_control \
    $manager/cgroup.threads
chown -R 1000:1000 $manager/app.slice
cd / || exit

# A group, a user's number, then the command.
verdict() {
    echo $$ >"/sys/fs/cgroup/$1/cgroup.procs" || return
    group=$1 id=$2
    shift 2
    echo "== as $id in $group: $*"
    setpriv --reuid "$id" --regid "$id" --clear-groups env HOME=/tmp CHAPERONE_TEST_AGAIN=1 \
        CHAPERONE_TEST_GROUPS=1 CHAPERONE_BIN=/mnt/chaperone \
        CHAPERONE_TEST_AGENT=/mnt/chaperone-escape CHAPERONE_TEST_WORLDS=/mnt/worlds \
        "$@" --test-threads=1 --nocapture
    echo "verdict $? $id ${1##*/} $2"
}

uname -sr
for own in "0 system.slice/test.service" "1000 $manager/app.slice/test.scope"; do
    verdict "${own#* }" "${own%% *}" /mnt/groups held::
    verdict "${own#* }" "${own%% *}" /mnt/suite limits::succeed_outside
    verdict "${own#* }" "${own%% *}" /mnt/suite limits::are_held_in
done
verdict "$slice/session-3.scope" 1000 /mnt/groups watched::
# From 3 there is no way back.
for scope in 1 2 3; do
    echo "$scope" >/proc/sys/kernel/yama/ptrace_scope
    for own in "0 system.slice/test.service" "1000 $manager/app.slice/test.scope"; do
        verdict "${own#* }" "${own%% *}" /mnt/groups "traced::at_$scope"
    done
done
echo o >/proc/sysrq-trigger
# It takes a moment to go off; a first process that ends would be a fault.
while :; do sleep 1; done
