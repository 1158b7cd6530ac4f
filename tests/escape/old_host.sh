#!/bin/sh
# Where the host has no Landlock and no mseal, guests run and end as elsewhere, and the doctor says what is missing.
#   old_host.sh DENY ERRNO CALLS RING3 CRASH HELLO
set -u
deny=$1 errno=$2 calls=$3 ring3=$4 crash=$5 hello=$6
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

fail() {
	echo "FAIL: $*"
	cat "$work/out" "$work/err"
	exit 1
}

old() {
	"$deny" "$errno" "$calls" "$ring3" "$@" >"$work/out" 2>"$work/err" </dev/null
}

for engine in trap hybrid interpret translate; do
	old run --engine "$engine" "$hello" || fail "$engine: status $?"
	[ ! -s "$work/err" ] || fail "$engine: something was said"
done
old run --core "$work/core" --stats "$work/stats" "$crash"
[ $? -eq 120 ] || fail "crash: not status 120"
grep -q "^ring3: core in $work/core" "$work/err" || fail "no core"
[ -s "$work/stats" ] || fail "no statistics"
old doctor || fail "the doctor: status $?"
grep -q "^limited *walls.others .*no Landlock" "$work/out" || fail "no word on Landlock"
grep -q "^limited *walls.names .*not sealed" "$work/out" || fail "no word on mseal"
