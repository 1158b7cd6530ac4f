#!/bin/sh
# Starts a guest of ours as other hypervisors do, by its 32-bit way in, and judges what it prints:
#   run.sh multiboot|pvh EXPECTED STATUS KERNEL COMMAND...
# COMMAND is run with -kernel and a copy of KERNEL: without ring3's note, and for PVH without the Multiboot header that
# loaders look for first. Status 77: there is no such command.
set -u
way=$1 expected=$2 status=$3 kernel=$4
shift 4
command -v "$1" >/dev/null || { echo "SKIP: no $1"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# Emptied and not removed: where the rest lies in the file is what the Multiboot header goes by.
size=$(objcopy -O binary --only-section .note.ring3 "$kernel" /dev/stdout | wc -c) || exit 1
head -c "$size" /dev/zero >"$work/nothing"
objcopy --update-section .note.ring3="$work/nothing" "$kernel" "$work/kernel" || exit 1
if [ "$way" = pvh ]; then
	at=$(LC_ALL=C grep -obUaP '\x02\xb0\xad\x1b' "$work/kernel" | head -n 1 | cut -d: -f1)
	printf '\0' | dd of="$work/kernel" bs=1 seek="$at" conv=notrunc status=none || exit 1
fi
timeout -k 5 100 "$@" -kernel "$work/kernel" </dev/null >"$work/raw" 2>"$work/err"
got=$?
tr -d '\r' <"$work/raw" >"$work/out"
if [ $got -ne "$status" ] || ! diff -u "$expected" "$work/out"; then
	echo "FAIL: exit status $got, expected $status"
	cat "$work/err"
	exit 1
fi
