#!/bin/sh
# What translated code does by itself is neither an exit nor the interpreter's:
#   nano_inside.sh RING3 GUEST MEASURE
# Runs that measure of the nanobenchmarks' guest on `translate`, and compares the exits with how often it was done.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
timeout -k 5 60 "$1" run --timeout 50 --engine translate --stats "$work/stats" -a "pv=off budget=5 only=$3" "$2" \
	</dev/null >"$work/out" 2>&1 || { cat "$work/out"; echo "FAIL: exit status $?"; exit 1; }
python3 - "$3" "$work/out" "$work/stats" <<'PY'
import json, re, sys
name, out, stats = sys.argv[1:]
line = re.search(rf"bench: {name} .* samples (\d+) count (\d+)", open(out).read())
done = int(line[1]) * int(line[2])
stats = json.load(open(stats))
exits = stats["vcpus"][0]["exits_total"]
# The guest asks the timer what time it is before it begins.
left = sum(row["interpreted"] + row["clustered"] for row in stats["sensitive"]
           if row["instruction"] not in ("in", "out", "lidt"))
print(f"{done} times: {exits} exits, {left} of them by the monitor")
assert done > 5000, "too few to tell"
assert exits < done / 20 and left < done / 20
PY
