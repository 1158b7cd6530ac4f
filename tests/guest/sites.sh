#!/bin/sh
# A bare kernel changes what its program's SYSCALLs go by, and whether these were made cheap at all where the host has
# what it takes:
#   sites.sh RUN.SH RING3 KERNEL ENGINE CPUS
set -eu
run=$1 ring3=$2 kernel=$3 engine=$4 cpus=$5
stats=$(mktemp)
trap 'rm -f "$stats"' EXIT

words=pv=off
[ "$engine" != trap ] || words="$words breakpoints=0"
"$run" "$ring3" 0 - "$kernel" --engine "$engine" --cpus "$cpus" --stats "$stats" --append "$words"
count() {
	sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" "$stats"
}
patched=$(count patched) undone=$(count undone)
echo "patched $patched, undone $undone"
if [ "$engine" = interpret ] || ! grep -qw ospke /proc/cpuinfo; then
	[ "$patched" -eq 0 ]
else
	[ "$patched" -ge 40 ] && [ "$undone" -ge 40 ]
fi
