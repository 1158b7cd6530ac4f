#!/bin/sh
# Accesses to what is no RAM come in crowds, and one exit is for many of them:  no_ram.sh RING3 GUEST
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$1" run --tap --engine translate --stats "$dir/stats" --append "pv=off reads=20000" "$2" </dev/null
python3 - "$dir/stats" <<'PY'
import json, sys
exits = json.load(open(sys.argv[1]))["vcpus"][0]["exits_total"]
print("exits", exits)
assert exits < 1000
PY
