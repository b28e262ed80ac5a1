#!/bin/sh
# Makes the files of this folder with the programs themselves; README.md says which versions were used.
# It needs qemu-system-x86_64, qemu-img, gzip, bzip2, xz, zstd, lz4 and lzop. The libvirt-* files are
# made by hand, as README.md tells.
set -eu
out=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# A machine without CPU and devices, its clock stopped: a whole stream in a few KiB.
qemu() {
    qemu-system-x86_64 -M none -accel tcg -S -nodefaults -display none -qmp stdio "$@" >qemu.log
    ! grep '"error"' qemu.log
}
say() { sleep 0.6 && printf '%s\n' "$1"; }
monitor() { say '{"execute": "human-monitor-command", "arguments": {"command-line": "'"$1"'"}}'; }

{
    say '{"execute": "qmp_capabilities"}'
    say '{"execute": "migrate", "arguments": {"uri": "exec:cat > stream.mig"}}'
    say '{"execute": "quit"}'
} | qemu -m 4

half=$(($(stat -c %s stream.mig) / 2))
head -c "$half" stream.mig >first
tail -c "+$((half + 1))" stream.mig >second
gzip -c stream.mig >"$out/stream.gzip"
bzip2 -c stream.mig >"$out/stream.bzip2"
xz -c stream.mig >"$out/stream.xz"
zstd -q -c --check stream.mig >"$out/stream.zstd"
lz4 -q -c stream.mig >"$out/stream.lz4"
lzop -c stream.mig >"$out/stream.lzop"
lzop -9 -CC --crc32 -c stream.mig >"$out/crc32.lzop"
for tool in gzip bzip2 "xz --check=sha256" "zstd -q" "lz4 -q -BD --content-size" lzop; do
    name=${tool%% *}
    $tool -c first >"$out/members.$name"
    $tool -c second >>"$out/members.$name"
done

# Two snapshots: the first while the machine is stopped, the second while it runs.
image() {
    name=$1 options=$2 size=${3:-1M}
    qemu-img create -q -f qcow2 -o "$options" "$name.qcow2" "$size"
    {
        say '{"execute": "qmp_capabilities"}'
        monitor "savevm stopped"
        sleep 1
        say '{"execute": "cont"}'
        monitor "savevm running"
        say '{"execute": "quit"}'
    } | qemu -m 16 -drive "if=none,file=$name.qcow2,format=qcow2"
    xz -9 -c "$name.qcow2" >"$out/$name.qcow2.xz"
}
image v3 compat=1.1
image v2 compat=0.10
image clusters-512 cluster_size=512
image clusters-2m cluster_size=2M
image extended-l2 extended_l2=on,cluster_size=16k 100G
qemu-img create -q -f qcow2 disk-only.qcow2 1M
qemu-img snapshot -c disk-only disk-only.qcow2
qemu-img create -q -f qcow2 -o data_file=data.raw external-data.qcow2 1M
qemu-img create -q -f qcow2 --object secret,id=key,data=key \
    -o encrypt.format=aes,encrypt.key-secret=key encrypted.qcow2 1M
for name in disk-only external-data encrypted; do
    xz -9 -c $name.qcow2 >"$out/$name.qcow2.xz"
done

# Clusters compressed by qemu-img, which does so for disks only: the stream stands 2 MiB into the disk,
# where a VM state would be if the disk had 2 MiB. A test adds the snapshot that says so.
{ head -c 2097152 /dev/zero && cat stream.mig && head -c 65536 /dev/zero; } | head -c 2162688 >disk.raw
for kind in zlib zstd; do
    qemu-img convert -c -f raw -O qcow2 -o compression_type=$kind,cluster_size=4k disk.raw $kind.qcow2
    xz -9 -c $kind.qcow2 >"$out/compressed-$kind.qcow2.xz"
done
