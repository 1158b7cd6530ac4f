#!/bin/sh
# `ring3 run --narrate` where nobody answers: the guest is unharmed, and what it met is told.
#   narrate.sh RING3 KERNEL EXPECTED-OUTPUT SENTENCES [options of ring3 run...]     SENTENCES: patterns, separated by |
set -eu
ring3=$1 kernel=$2 expected=$3 sentences=$4
shift 4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$ring3" run --timeout 60 --narrate "$@" "$kernel" </dev/null >"$work/out" 2>"$work/err" || {
	echo "FAIL: status $?"
	tail -5 "$work/err"
	exit 1
}
diff -u "$expected" "$work/out"
IFS='|'
for sentence in $sentences; do
	grep -q -- "$sentence" "$work/err" || { echo "FAIL: not told: $sentence"; head -40 "$work/err"; exit 1; }
done
