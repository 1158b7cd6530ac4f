#!/bin/sh
# A user that may have no more processes:  processes.sh R3_WATCH RING3 HELLO BOUNDS    (BOUNDS: tests/bounds/bounds.c)
# Root has no such limit, so it becomes nobody, with copies that nobody can read.
set -u
watch=$1 ring3=$2 hello=$3 bounds=$4
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cp "$ring3" "$work/ring3" && cp "$hello" "$work/hello.elf" && cp "$bounds" "$work/bounds.elf" || exit 1
chmod 755 "$work" "$work/ring3" && chmod 644 "$work/hello.elf" "$work/bounds.elf" || exit 1

# One process is ring3 itself.
"$watch" -u -R nproc=1 -s 120,125 -e '^ring3: cannot make a process for guest code' -O -- \
	"$work/ring3" run "$work/hello.elf" || exit 1
# Fewer than the guest has address spaces, again and again: that is said once. A cell is two tasks.
"$watch" -u -R nproc=20 -s 0 -o done -l 1 -e '^ring3: cannot make a process for guest code' -- \
	"$work/ring3" run --append 'pv=on attack=roots roots=300' "$work/bounds.elf" || exit 1
# Enough, for an ordinary user.
exec "$watch" -u -o hello -E -- "$work/ring3" run "$work/hello.elf"
