#!/bin/sh
# What the gate does by itself is no exit:  direct.sh RING3 BENCH_GUEST
set -u
ring3=$1 guest=$2 count=20000
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
"$ring3" run --timeout 50 --stats "$work/stats" -a "pv=on bench=fpu_direct count=$count rounds=4" "$guest" </dev/null || exit
calls=$(sed -n 's/.*"hypercall": *\([0-9]*\).*/\1/p' "$work/stats" | head -n 1)
[ "$calls" -lt $((count / 10)) ] || {
	echo "FAIL: $calls hypercalls reached the monitor"
	exit 1
}
