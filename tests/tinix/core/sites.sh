#!/bin/sh
# The program that attacks its own SYSCALLs, and whether they were made cheap at all where the host has what it takes:
#   sites.sh RUN.SH RING3 KERNEL ARCHIVE PROGRAM ENGINE PV PATCH
# PATCH is an option of ring3 run: --no-patch, or one of no consequence.
set -eu
run=$1 ring3=$2 kernel=$3 archive=$4 program=$5 engine=$6 pv=$7 option=$8
stats=$(mktemp)
trap 'rm -f "$stats"' EXIT

"$run" "$ring3" 0 - "$kernel" --engine "$engine" --memory 128M "$option" --stats "$stats" --module "$archive" \
	--append "pv=$pv init=/$program --"
count() {
	sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" "$stats"
}
patched=$(count patched) undone=$(count undone)
echo "patched $patched, undone $undone"
if [ "$option" = --no-patch ] || ! grep -qw ospke /proc/cpuinfo; then
	[ "$patched" -eq 0 ]
else
	[ "$patched" -ge 16 ] && [ "$undone" -ge 10 ]
fi
