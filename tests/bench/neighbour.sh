#!/bin/bash
# A guest on two CPUs, of which another program keeps one busy, goes to the other:  neighbour.sh RING3 BENCH_GUEST
set -u
ring3=$1 guest=$2
mapfile -t cpus < <(taskset -cp $$ | sed 's/.*: //' | tr , '\n' | while IFS=- read -r a b; do seq "$a" "${b:-$a}"; done)
if [ ${#cpus[@]} -lt 2 ] || [ ! -r /proc/self/schedstat ]; then
	echo "this needs two CPUs, and a host that tells how long a task waited for one"
	exit 77
fi
work=$(mktemp -d) || exit 1
# Bounded: it ends by itself, whatever becomes of this script.
taskset -c "${cpus[1]}" timeout 60 sh -c 'while :; do :; done' &
neighbour=$!
trap 'kill $neighbour; wait; rm -rf "$work"' EXIT
taskset -c "${cpus[0]},${cpus[1]}" "$ring3" run --cpus 2 --timeout 50 --stats "$work/stats" \
	-a "pv=on bench=syscall_direct count=25000 rounds=4" "$guest" </dev/null || exit
grep -E '"contended": *[1-9]' "$work/stats" || {
	echo "FAIL: it has not noticed"
	cat "$work/stats"
	exit 1
}
