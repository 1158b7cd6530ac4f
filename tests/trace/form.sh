#!/bin/sh
# A guest traced into a file, which is read back and compared with the statistics of the same run:
#   form.sh RING3 jsonl|pftrace PYTHON KERNEL [options of ring3 run...]
set -eu
ring3=$1 form=$2 python=$3 kernel=$4
shift 4
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$ring3" run --timeout 60 "$@" --trace-file "$work/trace.$form" --stats "$work/stats.json" "$kernel" \
	</dev/null >"$work/out" 2>"$work/err" || {
	echo "FAIL: status $?"
	cat "$work/err"
	exit 1
}
[ ! -s "$work/err" ] || { echo "FAIL: stderr"; cat "$work/err"; exit 1; }
[ "$form" != pftrace ] || protoc --proto_path="$here" --python_out="$work" perfetto.proto
PYTHONPATH="$work" PYTHONDONTWRITEBYTECODE=1 "$python" "$here/check.py" "$form" "$work/trace.$form" "$work/stats.json"
