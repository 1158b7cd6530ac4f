#!/bin/sh
# Runs bench_user in tinix for a moment, and looks whether each of its measures reports:
#   side.sh RING3 TINIX ARCHIVE
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
timeout -k 5 110 "$1" run --timeout 100 -m 192M --module "$3" -a "init=/bench_user -- --budget 5" "$2" \
	</dev/null >"$work/raw" 2>"$work/err"
got=$?
tr -d '\r' <"$work/raw" >"$work/out"
cat "$work/out" "$work/err"
if [ $got -ne 0 ]; then
	echo "FAIL: exit status $got"
	exit 1
fi
number='[0-9]+\.[0-9]{3}'
for measure in syscall touch fork exec pipe switch_2 switch_16 signal mmap compute memory file crowd; do
	grep -qE "^bench: $measure median $number p10 $number p90 $number samples [1-9][0-9]* count [1-9][0-9]* all [1-9][0-9]*\$" "$work/out" || {
		echo "FAIL: no line for $measure"
		exit 1
	}
done
grep -qE '^bench: end [1-9][0-9]*$' "$work/out" || {
	echo "FAIL: it did not end"
	exit 1
}
