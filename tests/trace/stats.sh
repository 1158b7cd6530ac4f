#!/bin/sh
# The statistics of a run, held against their schema:
#   stats.sh RING3 STATUS PYTHON SCHEMA KERNEL [options of ring3 run...]
set -u
ring3=$1 status=$2 python=$3 schema=$4 kernel=$5
shift 5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$ring3" run --timeout 60 "$@" --stats "$work/stats.json" "$kernel" </dev/null >"$work/out" 2>"$work/err"
got=$?
[ "$got" -eq "$status" ] || { echo "FAIL: status $got"; cat "$work/err"; exit 1; }
PYTHONDONTWRITEBYTECODE=1 "$python" "$(dirname "$0")/check.py" stats "$schema" "$work/stats.json"
