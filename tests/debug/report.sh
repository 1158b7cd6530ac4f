#!/bin/sh
# A guest dies, and its crash report says what it should:
#   report.sh RING3 STATUS KERNEL TEXT|TEXT|... [options of ring3 run...]
# The texts must stand on stderr in this order.
set -u
. "$(dirname "$0")/order.sh"
ring3=$1 status=$2 kernel=$3 texts=$4
shift 4
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
printf '%s\n' "$texts" | tr '|' '\n' >"$work/texts"

timeout -k 5 70 "$ring3" run --timeout 60 "$@" "$kernel" </dev/null >"$work/out" 2>"$work/err"
got=$?
[ "$got" -eq "$status" ] || {
	echo "FAIL: exit status $got, expected $status"
	cat "$work/out" "$work/err"
	exit 1
}
expect_in_order "$work/texts" "$work/err"
