#!/bin/sh
# Runs a script as process 1 of tinix and judges it:
#   run.sh RING3 KERNEL INITRAMFS STATUS EXPECTED SCRIPT [-p PROGRAM]... [options of ring3 run...]
# The script's status becomes the machine's: STATUS. Its output, without the terminal's carriage returns, must be the
# file EXPECTED. PROGRAMs are found in /t. In no case may a process be left over.
set -u
ring3=$1 kernel=$2 initramfs=$3 status=$4 expected=$5 script=$6
shift 6
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

# Archives may follow each other: the test's files come after the common ones.
mkdir "$work/tree" "$work/tree/t"
cp "$script" "$work/tree/t/run"
while [ "${1-}" = -p ]; do
	cp "$2" "$work/tree/t/"
	shift 2
done
chmod -R 755 "$work/tree"
(cd "$work/tree" && find t | cpio --quiet -R 0:0 -o -H newc) >"$work/test.cpio" || fail "no archive"
cat "$initramfs" "$work/test.cpio" >"$work/initramfs.cpio"

# What is left of a session, zombies aside: field 6 of stat, counted after the command name, which may hold anything.
session_members() {
	for stat in /proc/[0-9]*/stat; do
		sed 's/.*) //' "$stat" 2>/dev/null | while read -r state _ _ session _; do
			[ "$session" = "$1" ] && [ "$state" != Z ] && [ "$state" != X ] && echo "$stat"
		done
	done
}

setsid -w sh -c 'echo $$ >"$0"; exec timeout -k 5 "$@"' "$work/session" $((limit + 10)) \
	"$ring3" run --timeout "$limit" --module "$work/initramfs.cpio" "$@" "$kernel" \
	</dev/null >"$work/raw" 2>"$work/err"
got=$?
tr -d '\r' <"$work/raw" >"$work/out"

[ "$got" -eq "$status" ] || fail "exit status $got, expected $status"
left=$(session_members "$(cat "$work/session")")
[ -z "$left" ] || fail "left running: $left"
diff -u "$expected" "$work/out" >"$work/diff" || { cat "$work/diff"; fail "output differs from $expected"; }
