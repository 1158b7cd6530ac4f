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
# Nobody else may have it meanwhile, whatever he has it as.
cat >"$work/hold.py" <<'END'
import fcntl, subprocess, sys
with open(sys.argv[1], "r+b") as disk:
    fcntl.lockf(disk, fcntl.LOCK_EX | fcntl.LOCK_NB)
    run = subprocess.run(sys.argv[2:], capture_output=True, text=True)
sys.stdout.write(run.stderr)
sys.exit(run.returncode)
END
status=0
said=$(python3 "$work/hold.py" "$work/disk" "$ring3" run --engine "$engine" --block disk="$work/disk" -a disk "$with_disk") || status=$?
[ $status = 126 ]
printf '%s\n' "$said" | grep -q "another guest's disk"
