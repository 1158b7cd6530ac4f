#!/bin/sh
# A tick of a translated kernel is one exit, once its instructions are known: neither EOI nor the next deadline is one
# each. Where ticks come too late for that, some are:  ticks.sh RING3 KERNEL
set -u
here=$(dirname "$0")
stats=$(mktemp) || exit 1
trap 'rm -f "$stats"' EXIT
"$here/run.sh" pvh "$here/ticks.txt" 0 "$2" "$1" run --engine translate --append ticks --stats "$stats" || exit 1
python3 - "$stats" <<'PYTHON'
import json
import sys

stats = json.load(open(sys.argv[1]))
written = [s["interpreted"] for s in stats["sensitive"] if s["instruction"] == "wrmsr"][0]
stored = stats["vcpus"][0]["exits"]["unmappable"]
if written >= 1200 or stored >= 1200:
    sys.exit(f"FAIL: of 1500 ticks {written} deadlines and {stored} EOIs were the monitor's")
PYTHON
