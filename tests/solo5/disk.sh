#!/bin/sh
# A disk of a unikernel's:  disk.sh RING3 ENGINE UNIKERNEL UNIKERNEL_DISK
set -eu
ring3=$1 engine=$2 with_disk=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

truncate -s 64K "$work/disk"
"$ring3" run --engine "$engine" --block disk="$work/disk" -a disk "$with_disk"
# The last 8 KiB are what it wrote, the rest is as it was.
[ "$(stat -c %s "$work/disk")" = 65536 ]
cmp -n 57344 "$work/disk" /dev/zero
[ "$(od -An -tu1 -j57345 -N1 "$work/disk" | tr -d ' ')" = 7 ]
"$ring3" run --engine "$engine" --block:disk="$work/disk" --block-sector-size:disk=4096 -a disk "$with_disk"

refused() {
	status=0
	said=$("$ring3" run --engine "$engine" --block disk="$2" -a disk "$with_disk" 2>&1) || status=$?
	[ $status = 126 ]
	printf '%s\n' "$said" | grep -q -- "$1"
}
truncate -s 1000 "$work/odd"
refused "no whole blocks of 512" "$work/odd"
refused "cannot open" "$work/none"
refused "not a regular file" /dev/zero
# Nobody else may have it meanwhile.
exec 9<"$work/disk"
flock 9
refused "another guest's disk" "$work/disk"
