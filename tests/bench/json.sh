#!/bin/sh
# Runs a verb of ring3 and judges the document it prints:
#   json.sh SCHEMA STATUS RING3 VERB [options...]
# STATUS is a pattern that the exit status must match. The output must be one JSON object of that schema.
set -u
schema=$1 status=$2
shift 2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
"$@" >"$work/out" 2>"$work/err" </dev/null
got=$?
if ! printf '%s\n' "$got" | grep -qxE "$status"; then
	echo "FAIL: exit status $got, expected $status"
	cat "$work/out" "$work/err"
	exit 1
fi
# jansson's own reader would forgive what jansson wrote; Python is in every Debian that can build this.
python3 - "$schema" "$work/out" <<'PY'
import json, sys
document = json.load(open(sys.argv[2]))
assert document["schema"] == sys.argv[1], document["schema"]
assert document["version"] == 1
if sys.argv[1] == "ring3-bench":
    names = [row["name"] for row in document["rows"]]
    assert len(names) == len(set(names)) > 10, names
    for row in document["rows"]:
        ways = [(cell["transport"], cell["cpus"]) for cell in row["results"]]
        assert ("signal", 1) in ways and ("ptrace", 1) in ways, row
        assert document["host"]["cpus"] < 2 or ("signal", 2) in ways, row
        assert all(cell["samples"] > 0 and cell["median_ns"] > 0 for cell in row["results"]), row
    natives = [native["name"] for native in document["native"]]
    assert all(native["median_ns"] > 0 for native in document["native"])
    assert all(cell["native"] in natives for row in document["rows"] for cell in row["results"])
else:
    assert len(document["checks"]) > 10
    for check in document["checks"]:
        assert check["name"] and check["found"] and check["status"] in ("ok", "limited", "missing", "info"), check
        assert bool(check["remedy"]) == (check["status"] in ("limited", "missing")), check
PY
