#!/bin/sh
# What translated code does by itself is neither an exit nor the interpreter's:
#   nano_inside.sh RING3 GUEST MEASURE
# Runs that measure of the nanobenchmarks' guest on `translate`, and compares the exits with how often it was done. The
# guest does it as often as fits in a time: on a busy host that may be too seldom to tell, and it is asked again.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
for _ in 1 2 3 4 5; do
	timeout -k 5 60 "$1" run --timeout 50 --engine translate --stats "$work/stats" -a "pv=off budget=5 only=$3" "$2" \
		</dev/null >"$work/out" 2>&1 || { cat "$work/out"; echo "FAIL: exit status $?"; exit 1; }
	times=$(sed -nE "s/^bench: $3 .* samples ([0-9]+) count ([0-9]+)\$/\1 * \2/p" "$work/out")
	times=$((${times:-0}))
	[ $times -gt 5000 ] && break
done
python3 - "$times" "$work/stats" <<'PY'
import json, sys
done, stats = int(sys.argv[1]), json.load(open(sys.argv[2]))
exits = stats["vcpus"][0]["exits_total"]
# The guest asks the timer what time it is before it begins.
left = sum(row["interpreted"] + row["clustered"] for row in stats["sensitive"]
           if row["instruction"] not in ("in", "out", "lidt"))
print(f"{done} times: {exits} exits, {left} of them by the monitor")
assert done > 5000, "too few to tell"
assert exits < done / 20 and left < done / 20
PY
