#!/bin/sh
# Runs one guest under ring3 and judges it:
#   run.sh RING3 STATUS EXPECTED|- KERNEL [options of ring3 run...]
# STATUS is the exit status it must have. EXPECTED holds the console output it must print; with `-` it reports
# tests in TAP, all of which must pass. In no case may a process be left over.
set -u
ring3=$1 status=$2 expected=$3 kernel=$4
shift 4
[ "$expected" != - ] || set -- --tap "$@"
limit=${R3_LIMIT:-60}

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

fail() {
	echo "FAIL: $*"
	echo "--- stdout"
	cat "$work/out"
	echo "--- stderr"
	cat "$work/err"
	exit 1
}

# Processes of a session, zombies aside: field 6 of stat, counted after the command name, which may hold anything.
session_members() {
	cat /proc/[0-9]*/stat 2>/dev/null |
		awk -v session="$1" '{ all = $0; sub(/.*\) /, "") } $4 == session && $1 !~ /[ZX]/ { print all }'
}

setsid -w sh -c 'echo $$ >"$0"; exec timeout -k 5 "$@"' "$work/session" $((limit + 10)) \
	"$ring3" run --timeout $limit "$@" "$kernel" </dev/null >"$work/out" 2>"$work/err"
got=$?

[ "$got" -eq "$status" ] || fail "exit status $got, expected $status"
left=$(session_members "$(cat "$work/session")")
[ -z "$left" ] || fail "left running: $left"

[ "$expected" = - ] && exit 0
diff -u "$expected" "$work/out" >"$work/diff" || { cat "$work/diff"; fail "output differs from $expected"; }
